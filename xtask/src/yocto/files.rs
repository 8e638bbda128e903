//! `smartpos-files.inc`: which package holds which file, from `config/install.manifest`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::Result;

/// The folders of the manifest, and what bitbake calls them; the first that fits counts.
const FOLDERS: &[(&str, &str)] = &[
    ("/usr/lib/systemd/system/", "${systemd_system_unitdir}/"),
    ("/usr/lib/", "${nonarch_libdir}/"),
    ("/usr/bin/", "${bindir}/"),
    ("/usr/share/", "${datadir}/"),
    ("/etc/", "${sysconfdir}/"),
];

const UNITS: &str = "${systemd_system_unitdir}/";

#[derive(Default)]
struct Package<'a> {
    files: Vec<String>,
    programs: Vec<&'a str>,
    /// Those that are enabled: they have a section `[Install]`.
    units: Vec<String>,
}

/// The text of the file; `root` is where the manifest's sources are.
pub(super) fn include(manifest: &str, root: &Path) -> Result<String> {
    let mut packages: BTreeMap<&str, Package<'_>> = BTreeMap::new();
    for line in manifest.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [package, _mode, source, destination] = columns.as_slice() else {
            return Err(format!("install.manifest: four columns are needed: {line}"));
        };
        // Listed, but not installed.
        if *package == "-" {
            continue;
        }
        let entry = packages.entry(package).or_default();
        let file = in_bitbake_terms(destination)?;
        if let Some(program) = source.strip_prefix("bin:") {
            entry.programs.push(program);
        }
        if let Some(unit) = file.strip_prefix(UNITS)
            && is_enabled(&root.join(source))?
        {
            entry.units.push(unit.to_owned());
        }
        entry.files.push(file);
    }
    Ok(written(&packages))
}

fn in_bitbake_terms(destination: &str) -> Result<String> {
    FOLDERS
        .iter()
        .find_map(|(folder, name)| Some(format!("{name}{}", destination.strip_prefix(folder)?)))
        .ok_or_else(|| format!("install.manifest: no recipe installs into the folder of {destination}"))
}

fn is_enabled(unit: &Path) -> Result<bool> {
    let text = fs::read_to_string(unit).map_err(|error| format!("{}: {error}", unit.display()))?;
    Ok(text.lines().any(|line| line == "[Install]"))
}

fn written(packages: &BTreeMap<&str, Package<'_>>) -> String {
    let mut text = "# Written by `cargo xtask yocto` from config/install.manifest.\n\n".to_owned();
    let programs: Vec<&str> =
        packages.values().flat_map(|package| package.programs.iter().copied()).collect();
    list(&mut text, "SMARTPOS_PROGRAMS", programs.iter().copied());
    list(&mut text, "SMARTPOS_PACKAGES", packages.keys().copied());
    let with_units = packages.iter().filter(|(_, package)| !package.units.is_empty());
    list(&mut text, "SYSTEMD_PACKAGES", with_units.map(|(name, _)| *name));
    for (name, Package { files, units, .. }) in packages {
        list(&mut text, &format!("FILES:{name}"), files.iter().map(String::as_str));
        if !units.is_empty() {
            list(&mut text, &format!("SYSTEMD_SERVICE:{name}"), units.iter().map(String::as_str));
        }
    }
    text
}

fn list<'a>(text: &mut String, variable: &str, words: impl Iterator<Item = &'a str>) {
    let lines: String = words.map(|word| format!("    {word} \\\n")).collect();
    // Writing to a string can't fail.
    let _ = write!(text, "{variable} = \" \\\n{lines}\"\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_goes_to_its_package_and_an_enabled_unit_is_named() {
        let root = std::env::temp_dir().join(format!("xtask-files-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("a.service"), "[Unit]\n[Install]\nWantedBy=multi-user.target\n").unwrap();
        fs::write(root.join("b.service"), "[Unit]\n").unwrap();
        let manifest = "# package mode source destination\n\n\
                        a 0755 bin:a /usr/bin/a\n\
                        a 0644 a.service /usr/lib/systemd/system/a.service\n\
                        a 0644 b.service /usr/lib/systemd/system/b.service\n\
                        - - a.md -\n";
        let text = include(manifest, &root).unwrap();
        fs::remove_dir_all(&root).unwrap();
        assert!(
            text.contains("FILES:a = \" \\\n    ${bindir}/a \\\n    ${systemd_system_unitdir}/a.service"),
            "{text}"
        );
        assert!(text.contains("SYSTEMD_SERVICE:a = \" \\\n    a.service \\\n\"\n"), "{text}");
        assert!(!text.contains("a.md"), "{text}");
    }

    #[test]
    fn a_row_that_is_no_row_and_a_folder_without_a_name_are_refused() {
        assert!(include("a 0755 bin:a\n", Path::new("/")).unwrap_err().contains("four columns"));
        assert!(include("a 0755 bin:a /opt/a\n", Path::new("/")).unwrap_err().contains("/opt/a"));
    }
}
