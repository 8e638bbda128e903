//! What of a daemon's memory others may see: nothing of any daemon goes to a core dump.

use rustix::io::Result;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Keeps this process's memory out of core dumps, and that of one which `holds_secrets` from its own user, too.
///
/// The limit alone does not do for secrets: a kernel that hands dumps to a program asks that program to mind it,
/// and whoever runs as the same user could still trace the process.
pub(crate) fn close(holds_secrets: bool) -> Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    if holds_secrets {
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustix::process::{dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn no_process_dumps_core_and_one_with_secrets_cannot_be_traced_either() {
        close(false).unwrap();
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::Dumpable));
        close(true).unwrap();
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
    }
}
