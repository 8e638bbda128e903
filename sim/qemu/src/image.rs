//! The image: Debian's arm64 packages, our programs as the install manifest has them, and the board's own files.
//!
//! All of it is made on the host, and nothing for ARM is executed.

mod initrd;
mod manifest;
mod modules;
mod packages;
mod root;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::tool;
use modules::Modules;

/// The size of the disk.
const SIZE: &str = "512M";

/// Where an image is.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    folder: PathBuf,
}

impl Image {
    /// The image below `folder`.
    pub(crate) fn at(folder: &Path) -> Image {
        Image { folder: folder.to_path_buf() }
    }

    /// The disk, with an ext4 file system.
    pub(crate) fn disk(&self) -> PathBuf {
        self.folder.join("disk.ext4")
    }

    /// The kernel.
    pub(crate) fn kernel(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// What loads the disk's driver.
    pub(crate) fn initrd(&self) -> PathBuf {
        self.folder.join("initrd.cpio")
    }

    /// The certificates of the host and of the terminal.
    pub(crate) fn pki(&self) -> PathBuf {
        self.folder.join("pki")
    }

    /// The certificate of the QR gateway, and the keys of both ends.
    pub(crate) fn gateway_pki(&self) -> PathBuf {
        self.folder.join("gateway-pki")
    }

    /// The keys of the line to the secure module.
    pub(crate) fn pairing(&self) -> PathBuf {
        self.folder.join("pairing")
    }

    /// That `cargo xtask image` has been here.
    pub(crate) fn must_exist(&self) -> Result {
        // The disk is made last.
        let disk = self.disk();
        if disk.exists() { Ok(()) } else { Err(Error::NoImage(disk)) }
    }

    /// A sentence for who starts an image that was made of other sources than those of `workspace`.
    pub(crate) fn warning(&self, workspace: &Path) -> Result<Option<String>> {
        let changed = sources::changed(workspace, &self.sources())?;
        Ok(changed.map(|file| {
            format!(
                "The image was made of other sources than these ({file}); `cargo xtask image` makes it anew."
            )
        }))
    }

    fn sources(&self) -> PathBuf {
        self.folder.join("sources.txt")
    }

    /// Makes all of it, from the files of `workspace` and the ARM programs in `programs`.
    pub(crate) fn make(&self, workspace: &Path, programs: &Path) -> Result {
        fs::create_dir_all(&self.folder).map_err(Error::file(&self.folder))?;
        remove(&self.disk())?;
        say("Debian's packages for arm64");
        let archive = self.folder.join("packages.tar");
        packages::fetch(&archive)?;
        let scratch = tempfile::tempdir_in(&self.folder).map_err(Error::file(&self.folder))?;
        let root = scratch.path().join("root");
        fs::create_dir(&root).map_err(Error::file(&root))?;
        packages::unpack(&archive, &root)?;

        say("the kernel, its modules, the initrd");
        let modules = Modules::read(&root)?;
        fs::copy(modules.kernel(&root), self.kernel()).map_err(Error::file(&self.kernel()))?;
        initrd::write(&self.initrd(), &root, &modules.for_initrd()?)?;
        modules.prune(&root)?;
        fs::remove_dir_all(root.join("boot")).map_err(Error::file(&root))?;

        say("our programs, units and configuration");
        manifest::install(workspace, programs, &root)?;
        sim_acquirer::pki::ensure(&self.pki()).map_err(Error::file(&self.pki()))?;
        sim_gateway::pki::ensure(&self.gateway_pki()).map_err(Error::file(&self.gateway_pki()))?;
        sim_module::pairing::ensure(&self.pairing()).map_err(Error::file(&self.pairing()))?;
        root::configure(&root, workspace, self)?;

        say("the disk");
        sources::record(workspace, &self.sources())?;
        self.make_disk(&root)
    }

    fn make_disk(&self, root: &Path) -> Result {
        let unfinished = self.folder.join("disk.unfinished");
        remove(&unfinished)?;
        let mut command = Command::new("mke2fs");
        command.args(["-q", "-t", "ext4", "-E", "root_owner=0:0", "-d"]).arg(root).arg(&unfinished).arg(SIZE);
        tool::run(&mut command)?;
        fs::rename(&unfinished, self.disk()).map_err(Error::file(&unfinished))
    }
}

fn say(what: &str) {
    println!("==> {what}");
}

fn remove(file: &Path) -> Result {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file(file)(error)),
        _ => Ok(()),
    }
}
