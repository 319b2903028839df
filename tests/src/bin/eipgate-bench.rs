//! `eipgate-bench`: what a packet costs. `cargo xtask bench` becomes this program.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use lab::bench::{self, Options, chart, table};
use lab::lab::interrupt;

/// Measures eipgate beside other gateways.
#[derive(Parser)]
#[command(name = "eipgate-bench", version)]
struct Arguments {
    /// A first look, in a few minutes
    #[arg(long)]
    quick: bool,
    /// Write every sample to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the chart into a file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Only rows with this in their names, or one of the parts alone, two-core, tcp, api, changes; may be given several times
    #[arg(long, value_name = "WORDS")]
    only: Vec<String>,
}

fn main() -> ExitCode {
    let result = measure(Arguments::parse());
    interrupt::give_way();
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("eipgate-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Says whether everything counts.
fn measure(arguments: Arguments) -> Result<bool> {
    let Arguments { quick, json, svg, only } = arguments;
    let undo = interrupt::undo_on_signals("eipgate-bench", lab::bench::kernel::restore)?;
    let report = bench::run(&Options { quick, only }, &undo);
    // Whatever is still there, the directory for one, goes now.
    let removed = undo.take().map_or(Ok(()), |remains| remains.remove());
    let report = report?;
    println!("{}\nMeasured in {} s.", table::show(&report), report.seconds);
    let write = |path: PathBuf, text: String| {
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    if let Some(path) = json {
        write(path, serde_json::to_string_pretty(&report)? + "\n")?;
    }
    if let Some(path) = svg {
        write(path, chart::draw(&report))?;
    }
    removed?;
    Ok(report.is_whole())
}
