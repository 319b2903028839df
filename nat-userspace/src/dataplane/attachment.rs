//! The link that holds a program on an interface, by its pin: known for what it is before it is trusted.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use aya::programs::{ProgramError, ProgramInfo, loaded_programs};

use super::sys;

/// Name of the program, in the object and in the kernel.
pub const NAME: &str = "eipgate";

/// A pinned link of an XDP program.
pub struct Attachment {
    link: OwnedFd,
    path: PathBuf,
    /// The interface it is on; `None` where that is gone, which ends a link for good.
    pub ifindex: Option<u32>,
}

impl Attachment {
    /// Opens a pin, which must be a link of an XDP program.
    pub fn open(path: &Path) -> Result<Attachment> {
        let link = sys::open_pin(path).with_context(|| format!("opening the link {}", path.display()))?;
        let mut attachment = Attachment { link, path: path.to_path_buf(), ifindex: None };
        if attachment.field("link_type")? != "xdp" {
            bail!(
                "{} is no link of an XDP program, so eipgate did not pin it; run `eipgate detach`, which stops traffic, and \
                 start again",
                path.display()
            );
        }
        attachment.ifindex = attachment.interface()?;
        Ok(attachment)
    }

    /// Whether the link holds its program on the interface it was found on.
    pub fn holds(&self) -> Result<bool> {
        Ok(self.ifindex.is_some() && self.interface()? == self.ifindex)
    }

    fn interface(&self) -> Result<Option<u32>> {
        Ok(Some(self.field("ifindex")?.parse()?).filter(|ifindex| *ifindex != 0))
    }

    /// Has the interface run another program from the next packet on. The kernel refuses where the program replaced is
    /// not the one that was seen here to be eipgate's, if this process may see it.
    pub fn swap(&self, program: BorrowedFd<'_>) -> Result<()> {
        let id: u32 = self.field("prog_id")?.parse()?;
        let before = match program_of(id) {
            // Without CAP_SYS_ADMIN the kernel does not say which program that is. The link is ours all the same.
            Err(error) if is_forbidden(&error) => None,
            Err(error) => return Err(error).context("asking about the program that is to be replaced"),
            Ok(Some(before)) if before.name() == NAME.as_bytes() => {
                Some(before.fd().context("opening the program that is to be replaced")?)
            }
            Ok(_) => bail!(
                "the link {} holds a program (id {id}) that is not eipgate's; run `eipgate detach`, which stops traffic, \
                 and start again",
                self.path.display()
            ),
        };
        let before = before.as_ref().map(|before| before.as_fd());
        sys::replace_program(self.link.as_fd(), program, before).with_context(|| {
            format!(
                "replacing program {id} of the link {}; did somebody else replace it just now?",
                self.path.display()
            )
        })
    }

    /// Moves the pin into the directory of another layout, in one step.
    pub fn move_to(&mut self, path: &Path) -> Result<()> {
        if path != self.path {
            fs::rename(&self.path, path).with_context(|| format!("moving {}", self.path.display()))?;
            self.path = path.to_path_buf();
        }
        Ok(())
    }

    /// Takes the program off the interface, whoever else may hold on to the link, and removes the pin.
    pub fn remove(self) -> Result<()> {
        if self.ifindex.is_some() {
            sys::detach_link(self.link.as_fd()).with_context(|| format!("detaching {}", self.path.display()))?;
        }
        fs::remove_file(&self.path).with_context(|| format!("removing {}", self.path.display()))
    }

    /// What the kernel tells about the link under a name.
    fn field(&self, name: &str) -> Result<String> {
        let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", self.link.as_raw_fd()))
            .with_context(|| format!("asking about {}", self.path.display()))?;
        let field = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        // A map or a program has no such line, which is an answer too.
        Ok(field.unwrap_or_default().trim().to_owned())
    }
}

/// A program by its id; `None` where the kernel has it no more.
///
/// # Errors
/// Among others, that looking takes CAP_SYS_ADMIN.
pub fn program_of(id: u32) -> Result<Option<ProgramInfo>, ProgramError> {
    for program in loaded_programs() {
        match program {
            Ok(program) if program.id() == id => return Ok(Some(program)),
            // Others come and go meanwhile.
            Err(error) if is_forbidden(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(None)
}

fn is_forbidden(error: &ProgramError) -> bool {
    matches!(error, ProgramError::SyscallError(call) if call.io_error.kind() == io::ErrorKind::PermissionDenied)
}
