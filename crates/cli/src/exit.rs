//! Ends of a command, as other programs see it.

use std::process::ExitCode;

/// The exit codes, for the help text.
pub const TABLE: &str = "\
Exit codes:
  0    done
  1    the run failed: numbers, memory, disk, network, a damaged checkpoint, or a bug of the program
  2    the command line, a model, an adapter or data cannot be used; nothing was run
  130  interrupted (Ctrl-C, SIGTERM); what was trained is saved";

/// End of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is done.
    Done,
    /// Something went wrong while it ran.
    Failed,
    /// What it was given cannot be used.
    BadInput,
    /// Stopped on request, and saved.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::BadInput => 2,
            Exit::Interrupted => 130,
        })
    }
}
