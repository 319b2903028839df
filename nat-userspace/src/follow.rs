//! Files whose content is in effect as soon as they change: credentials and certificates.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

/// How often the files are looked at. Watching directories would miss what is swapped behind a symbolic link.
const PERIOD: Duration = Duration::from_secs(1);

/// What was read last. Clones share it, and the files are followed until the last of them has gone.
pub struct Followed<T>(watch::Receiver<Arc<T>>);

impl<T> Clone for Followed<T> {
    fn clone(&self) -> Self {
        Followed(self.0.clone())
    }
}

impl<T> fmt::Debug for Followed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Followed")
    }
}

impl<T: Send + Sync + 'static> Followed<T> {
    /// Reads now, and again whenever one of the files has changed. Where that fails later, what was read before stays in
    /// effect and the log says why. Must be called within a runtime.
    pub fn new(
        what: &'static str,
        files: Vec<PathBuf>,
        read: impl FnMut() -> Result<T> + Send + 'static,
    ) -> Result<Followed<T>> {
        let mut reader = Reader { stamps: stamps(&files), files, read };
        let first = (reader.read)()?;
        let (sender, receiver) = watch::channel(Arc::new(first));
        tokio::spawn(follow(what, reader, sender));
        Ok(Followed(receiver))
    }

    /// What never changes.
    pub fn fixed(value: T) -> Followed<T> {
        // A receiver keeps the last value of a sender that has gone.
        Followed(watch::channel(Arc::new(value)).1)
    }

    /// What is in effect now.
    pub fn latest(&self) -> Arc<T> {
        Arc::clone(&self.0.borrow())
    }
}

struct Reader<F> {
    files: Vec<PathBuf>,
    stamps: Vec<Option<Stamp>>,
    read: F,
}

impl<T, F: FnMut() -> Result<T>> Reader<F> {
    /// What is new, if anything is.
    fn look(&mut self) -> Option<Result<T>> {
        // Before the reading, so that what changes meanwhile is seen the next time.
        let stamps = stamps(&self.files);
        if stamps == self.stamps {
            return None;
        }
        self.stamps = stamps;
        Some((self.read)())
    }
}

async fn follow<T, F>(what: &'static str, mut reader: Reader<F>, sender: watch::Sender<Arc<T>>)
where
    T: Send + Sync + 'static,
    F: FnMut() -> Result<T> + Send + 'static,
{
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = sender.closed() => return,
        }
        let looked = spawn_blocking(move || {
            let found = reader.look();
            (reader, found)
        });
        let Ok((returned, found)) = looked.await else {
            warn!("{what} is not followed any more, because reading it panicked");
            return;
        };
        reader = returned;
        match found {
            Some(Ok(read)) => {
                sender.send_replace(Arc::new(read));
                info!("{what} was read again and is in effect");
            }
            Some(Err(error)) => warn!("{what} stays as it was: {error:#}"),
            None => {}
        }
    }
}

/// What tells one content from another without reading it.
#[derive(PartialEq, Eq)]
struct Stamp([i64; 7]);

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    files.iter().map(|file| stamp(file)).collect()
}

fn stamp(file: &Path) -> Option<Stamp> {
    let found = fs::metadata(file).ok()?;
    let (device, inode, size) = (found.dev().cast_signed(), found.ino().cast_signed(), found.size().cast_signed());
    Some(Stamp([device, inode, size, found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()]))
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    fn number(file: &Path) -> impl FnMut() -> Result<u32> + Send + 'static {
        let file = file.to_owned();
        move || fs::read_to_string(&file)?.parse().context("no number")
    }

    #[test]
    fn only_what_changed_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let (file, next) = (directory.path().join("number"), directory.path().join("next"));
        fs::write(&file, "1").unwrap();
        let files = vec![file.clone()];
        let mut reader = Reader { stamps: stamps(&files), files, read: number(&file) };
        assert!(reader.look().is_none());
        fs::write(&next, "2").unwrap();
        fs::rename(&next, &file).unwrap();
        assert_eq!(reader.look().unwrap().unwrap(), 2);
        fs::remove_file(&file).unwrap();
        assert!(reader.look().unwrap().is_err());
        assert!(reader.look().is_none());
    }

    #[tokio::test]
    async fn a_change_is_in_effect_and_a_broken_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("number");
        fs::write(&file, "1").unwrap();
        let mut followed = Followed::new("the number", vec![file.clone()], number(&file)).unwrap();
        assert_eq!(*followed.latest(), 1);
        fs::write(&file, "33").unwrap();
        followed.0.changed().await.unwrap();
        assert_eq!(*followed.latest(), 33);
        fs::write(&file, "many").unwrap();
        fs::write(directory.path().join("next"), "4").unwrap();
        assert_eq!(*followed.latest(), 33);
        fs::rename(directory.path().join("next"), &file).unwrap();
        followed.0.changed().await.unwrap();
        assert_eq!(*followed.latest(), 4);
        assert_eq!(*Followed::fixed(5).latest(), 5);
    }

    #[tokio::test]
    async fn what_cannot_be_read_at_first_is_an_error() {
        let failure = Followed::<()>::new("it", vec!["/".into()], || anyhow::bail!("no")).unwrap_err();
        assert_eq!(failure.to_string(), "no");
    }
}
