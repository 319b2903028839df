//! How much the daemon logs, and in what form.

use std::str::FromStr;

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the levels everybody knows")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        use LogLevel::{Debug, Error, Info, Trace, Warn};
        let level = [Error, Warn, Info, Debug, Trace].into_iter().find(|level| level.name() == text);
        level.ok_or_else(|| format!("`{text}` is no log level; take error, warn, info, debug or trace"))
    }
}

/// Where the log goes and how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// To the journal with its fields where systemd has connected standard error to it, else text.
    Auto,
    /// Lines on standard error.
    Text,
    /// An object a line on standard error.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(LogFormat::Auto),
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(format!("`{text}` is no log format; take auto, text or json")),
        }
    }
}
