fn main() {
    hsu_build::compile(&["hsu_core.proto"], &["../../../proto"]).expect("hsu_core.proto compiles");
}
