//! The rig: frames and the reference translator that judges the program, and the lab of network namespaces.

pub mod frames;
pub mod generate;
pub mod reference;
