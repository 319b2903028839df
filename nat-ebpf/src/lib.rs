//! Empty on purpose: the program is the binary target; see `main.rs`.
#![no_std]
