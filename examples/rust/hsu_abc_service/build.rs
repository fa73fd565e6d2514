fn main() {
    hsu_build::compile(&["hsu_a.proto", "hsu_b.proto"], &["../../../proto"])
        .expect("hsu_a.proto and hsu_b.proto compile");
}
