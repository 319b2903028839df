//! Linker options of the BPF binary.

fn main() {
    // By default bpf-linker has every copy and zeroing done by byte loops in functions of their own, which the
    // verifier walks anew for each call; a struct's worth of plain stores is both faster and quick to verify.
    println!("cargo:rustc-link-arg-bins=--disable-expand-memcpy-in-order");
    println!("cargo:rerun-if-changed=build.rs");
}
