//! The program stays as small as it is, or somebody says that it was meant to grow.

use std::fs;
use std::path::Path;

use aya::EbpfLoader;
use aya::programs::Xdp;
use lab::program::functions;

/// What a number may exceed its budget by, in percent.
const SLACK: u32 = 5;

/// The paths a packet takes, by the function each of them is: the whole untagged TCP or UDP packet whose next hop is
/// known, every other packet with the answers to ARP, the kernel asked for a next hop, the errors sent; and what all share.
const PATHS: [&str; 5] = ["eipgate", "carry", "judge", "ask_kernel", "icmp_error"];

#[test]
fn the_program_keeps_its_budget() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("budget.toml");
    let budget = fs::read_to_string(&path).expect("the budget is there");
    // As the daemon loads it: without the log, which the verifier removes.
    let mut bpf = EbpfLoader::new()
        .override_global("AYA_LOG_LEVEL", &0u8, true)
        .load(nat_userspace::PROGRAM)
        .expect("the kernel takes the maps");
    let program: &mut Xdp = bpf.program_mut("eipgate").expect("it has that program").try_into().expect("for XDP");
    program.load().expect("the kernel takes the program");
    let info = program.info().expect("root may know");
    let translated = info.size_translated().expect("root may know") / 8;
    let verified = info.verified_instruction_count().expect("kernels since 5.16 tell");
    // The size of machine code is one architecture's.
    let jited = cfg!(target_arch = "x86_64").then(|| info.size_jitted());
    let mut found = vec![("translated".to_owned(), translated), ("verified".to_owned(), verified)];
    found.extend(jited.map(|bytes| ("jited".to_owned(), bytes)));
    let functions = functions::sizes(program.fd().expect("it is loaded")).expect("root may know");
    for path in PATHS {
        let size = functions.get(path).unwrap_or_else(|| panic!("no function {path} among {:?}", functions.keys()));
        found.push((format!("{path}.translated"), size.translated));
        found.extend(jited.map(|_| (format!("{path}.jited"), size.jited)));
    }
    let lines: Vec<String> = found.iter().map(|(name, now)| format!("{name} = {now}")).collect();
    println!("{}", lines.join("\n"));
    for (name, now) in found {
        let allowed = allowed(&budget, &name);
        assert!(
            now <= allowed + allowed * SLACK / 100,
            "{name}: {now}, more than {allowed} and {SLACK} %. Where that is meant, write into tests/budget.toml:\n{}",
            lines.join("\n")
        );
    }
}

/// The number behind a name.
fn allowed(budget: &str, name: &str) -> u32 {
    let values = budget.lines().filter_map(|line| line.split_once(" = "));
    let value = values.filter(|(key, _)| *key == name).find_map(|(_, value)| value.trim().parse().ok());
    value.unwrap_or_else(|| panic!("the budget has no number for {name}"))
}
