fn main() {
    hsu_build::compile(&["hsu_a.proto"], &["../../../proto"]).expect("hsu_a.proto compiles");
}
