//! Compiles the benchmark's XDP programs and puts the object into OUT_DIR.

#[path = "../nat-ebpf/compile.rs"]
mod compile;

fn main() -> anyhow::Result<()> {
    compile::compile("bench")
}
