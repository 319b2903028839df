//! The rig: frames and the reference translator that judges the program, and the lab of network namespaces.

pub mod demo;
pub mod frames;
pub mod generate;
pub mod lab;
pub mod program;
pub mod reference;
pub mod standard;
