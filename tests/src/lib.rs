//! The rig: frames and the reference translator that judges the program, the lab of network namespaces, the benchmark.

pub mod bench;
pub mod browser;
pub mod caller;
pub mod clients;
pub mod demo;
pub mod frames;
pub mod generate;
pub mod lab;
pub mod program;
pub mod reference;
pub mod standard;
