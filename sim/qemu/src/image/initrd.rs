//! The initrd: busybox, e2fsck, the modules that the disk needs, and a script.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::tool;

const INIT: &str = include_str!("../../image/init");

/// Writes `archive` with the static programs of the image's `system` and `modules`, which are loaded in their order.
pub(crate) fn write(archive: &Path, system: &Path, modules: &[PathBuf]) -> Result {
    let folder = tempfile::tempdir().map_err(Error::file(&std::env::temp_dir()))?;
    let root = folder.path();
    for name in ["bin", "dev", "modules", "root"] {
        fs::create_dir(root.join(name)).map_err(Error::file(root))?;
    }
    copy(&system.join("bin/busybox"), &root.join("bin/busybox"))?;
    copy(&system.join("sbin/e2fsck.static"), &root.join("bin/e2fsck"))?;
    let mut order = String::new();
    for module in modules {
        let name = module.file_name().unwrap_or_default();
        copy(module, &root.join("modules").join(name))?;
        order.push_str(&format!("{}\n", name.to_string_lossy()));
    }
    fs::write(root.join("modules/order"), order).map_err(Error::file(root))?;
    let init = root.join("init");
    fs::write(&init, INIT).map_err(Error::file(&init))?;
    fs::set_permissions(&init, Permissions::from_mode(0o755)).map_err(Error::file(&init))?;
    pack(root, archive)
}

/// cpio takes its list on stdin.
fn pack(root: &Path, archive: &Path) -> Result {
    let list = root.with_extension("list");
    let names = tool::output(Command::new("find").arg(".").current_dir(root))?;
    fs::write(&list, names).map_err(Error::file(&list))?;
    let mut command = Command::new("cpio");
    command.args(["--quiet", "--create", "--format=newc", "--owner=0:0"]).current_dir(root);
    command.stdin(File::open(&list).map_err(Error::file(&list))?).stderr(Stdio::inherit());
    command.stdout(File::create(archive).map_err(Error::file(archive))?);
    let status =
        command.status().map_err(|source| Error::NotStarted { program: "cpio".to_owned(), source })?;
    fs::remove_file(&list).map_err(Error::file(&list))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Failed { line: "cpio".to_owned(), status: status.to_string(), output: String::new() })
}

fn copy(from: &Path, to: &Path) -> Result {
    fs::copy(from, to).map(drop).map_err(Error::file(from))
}
