//! The verifier takes the program.

use lab::program::Program;
use lab::standard::standard_world;

/// Half of what the verifier of the oldest kernel supported would go through before it gives up, so that a kernel
/// whose verifier prunes less still takes it.
const MOST_INSTRUCTIONS: u32 = 500_000;

#[test]
fn the_program_loads_with_room_to_spare() {
    let mut program = Program::load(&standard_world());
    let verified = program.verified_instructions().expect("kernels since 5.16 tell");
    let size = program.translated_size().expect("root may know") / 8;
    println!("{size} instructions; the verifier went through {verified}");
    assert!(verified < MOST_INSTRUCTIONS, "{verified} instructions");
}
