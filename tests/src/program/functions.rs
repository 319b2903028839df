//! How large each function of a loaded program is, which aya does not tell.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};

use anyhow::{Context as _, Result, ensure};
use aya::programs::ProgramFd;
use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_func_info, bpf_prog_info};

/// The size of one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Instructions after the verifier has rewritten them.
    pub translated: u32,
    /// Bytes of machine code.
    pub jited: u32,
}

/// The functions of a program by name; those of one name are added up. Takes root, to be told addresses.
pub fn sizes(program: &ProgramFd) -> Result<BTreeMap<String, Size>> {
    let mut info = ask(program, empty())?;
    let (functions, record) = (info.nr_func_info as usize, info.func_info_rec_size);
    ensure!(functions == info.nr_jited_func_lens as usize, "the kernel tells of other functions than it compiled");
    ensure!(record as usize == size_of::<bpf_func_info>(), "the kernel's record of a function is {record} bytes");
    let instructions = info.xlated_prog_len / 8;
    let mut starts = vec![bpf_func_info { insn_off: 0, type_id: 0 }; functions];
    let (mut lengths, mut addresses) = (vec![0u32; functions], vec![0u64; functions]);
    info = empty();
    (info.nr_func_info, info.func_info_rec_size) = (functions as u32, record);
    (info.nr_jited_func_lens, info.nr_jited_ksyms) = (functions as u32, functions as u32);
    info.func_info = starts.as_mut_ptr() as u64;
    info.jited_func_lens = lengths.as_mut_ptr() as u64;
    info.jited_ksyms = addresses.as_mut_ptr() as u64;
    ask(program, info)?;

    let symbols = fs::read_to_string("/proc/kallsyms").context("reading the kernel's symbols")?;
    let names: BTreeMap<u64, &str> = symbols.lines().filter_map(symbol).collect();
    let ends = starts.iter().skip(1).map(|start| start.insn_off).chain([instructions]);
    let mut found = BTreeMap::<String, Size>::new();
    for (index, end) in ends.enumerate() {
        let address = addresses[index];
        let name = names.get(&address).with_context(|| format!("no symbol for the function at {address:#x}"))?;
        let size = found.entry((*name).to_owned()).or_default();
        size.translated += end - starts[index].insn_off;
        size.jited += lengths[index];
    }
    Ok(found)
}

/// Address and name of a program's function: `bpf_prog_<tag>_<name>`.
fn symbol(line: &str) -> Option<(u64, &str)> {
    let mut words = line.split_whitespace();
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    let (_tag, name) = words.nth(1)?.strip_prefix("bpf_prog_")?.split_once('_')?;
    Some((address, name))
}

fn empty() -> bpf_prog_info {
    // SAFETY: a struct of integers, for which zero is a value.
    unsafe { std::mem::zeroed() }
}

/// Asks about a program; the buffers `info` names must have the lengths it gives.
fn ask(program: &ProgramFd, mut info: bpf_prog_info) -> Result<bpf_prog_info> {
    // SAFETY: a union of structs of integers, for which zero is a value.
    let mut request: bpf_attr = unsafe { std::mem::zeroed() };
    request.info.bpf_fd = program.as_fd().as_raw_fd() as u32;
    request.info.info_len = size_of::<bpf_prog_info>() as u32;
    request.info.info = (&raw mut info) as u64;
    // SAFETY: the request names a descriptor that is open and an `info` the kernel may write, with its size; the buffers
    // `info` points to are the caller's, of the lengths it says.
    let done = unsafe {
        libc::syscall(libc::SYS_bpf, bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &raw mut request, size_of::<bpf_attr>())
    };
    ensure!(done == 0, "asking the kernel about a program: {}", io::Error::last_os_error());
    Ok(info)
}
