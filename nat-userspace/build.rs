//! Compiles the XDP program and puts the object into OUT_DIR.

#[path = "../nat-ebpf/compile.rs"]
mod compile;

fn main() -> anyhow::Result<()> {
    compile::compile("nat-ebpf")
}
