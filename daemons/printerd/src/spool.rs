//! The jobs on disk: one file for each, so that a job outlives the process and the power.
//!
//! A file is written beside its place, synced, and renamed: what is found after a crash is a whole job, before or
//! after its last change. Finished jobs are kept for those who ask for the result later, the oldest go first.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use escpos::Document;
use serde::{Deserialize, Serialize};

/// The finished jobs that are kept.
pub(crate) const KEPT: usize = 200;

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stage {
    /// Nothing of it was sent to the printer.
    Queued,
    /// It is being sent, or was and is not proven to be on paper.
    Sent,
    /// On paper.
    Printed,
    /// On paper, for the second time perhaps, and marked so.
    PrintedDuplicate,
    /// Called off before anything was sent.
    Cancelled,
    /// It can't be printed.
    Failed,
}

impl Stage {
    /// The word for a final stage.
    pub(crate) fn outcome(self) -> Option<&'static str> {
        match self {
            Stage::Queued | Stage::Sent => None,
            Stage::Printed => Some("printed"),
            Stage::PrintedDuplicate => Some("printed-duplicate"),
            Stage::Cancelled => Some("cancelled"),
            Stage::Failed => Some("failed"),
        }
    }
}

/// A job as it is on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Job {
    /// Whose it is, as [`service::guard::Identity`] is written.
    pub(crate) owner: String,
    /// The caller's key.
    pub(crate) key: String,
    /// Its object.
    pub(crate) path: String,
    /// Before the jobs of apps.
    pub(crate) urgent: bool,
    /// How far it is.
    pub(crate) stage: Stage,
    /// It may be on paper already: it is printed with a mark.
    pub(crate) doubtful: bool,
    /// Characters that the printer lacks.
    pub(crate) missing: String,
    /// What is printed; dropped once the job has ended.
    pub(crate) document: Option<Document>,
    /// SHA-256 of the document: the same key must come with the same one.
    pub(crate) digest: String,
}

/// The folder of jobs, and the jobs in the order in which they came.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    jobs: BTreeMap<u64, Job>,
}

impl Spool {
    /// Opens the folder. A job that was being sent is doubtful from now on.
    ///
    /// # Errors
    /// What the system said. A file that is no job is left alone and told.
    pub(crate) fn open(folder: &Path) -> io::Result<Spool> {
        fs::create_dir_all(folder)?;
        let mut jobs = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let Some(number) = number(&path) else { continue };
            match serde_json::from_slice::<Job>(&fs::read(&path)?) {
                Ok(mut job) => {
                    job.doubtful |= job.stage == Stage::Sent;
                    jobs.insert(number, job);
                }
                Err(error) => log::error!("{} is no print job and is passed over: {error}", path.display()),
            }
        }
        Ok(Spool { folder: folder.to_path_buf(), jobs })
    }

    /// All jobs by their numbers, oldest first.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = (u64, &Job)> {
        self.jobs.iter().map(|(number, job)| (*number, job))
    }

    /// One job.
    pub(crate) fn get(&self, number: u64) -> Option<&Job> {
        self.jobs.get(&number)
    }

    /// The job of `owner` with `key`.
    pub(crate) fn find(&self, owner: &str, key: &str) -> Option<(u64, &Job)> {
        self.jobs().find(|(_, job)| job.owner == owner && job.key == key)
    }

    /// The job to print next.
    pub(crate) fn next(&self) -> Option<u64> {
        let waiting = || self.jobs().filter(|(_, job)| job.stage.outcome().is_none());
        waiting().find(|(_, job)| job.urgent).or_else(|| waiting().next()).map(|(number, _)| number)
    }

    /// How many jobs of `owner` are not finished.
    pub(crate) fn open_jobs(&self, owner: &str) -> usize {
        self.jobs().filter(|(_, job)| job.owner == owner && job.stage.outcome().is_none()).count()
    }

    /// Adds a job; when this returns it is on disk.
    ///
    /// # Errors
    /// What the system said; the job is not added then.
    pub(crate) fn add(&mut self, job: Job) -> io::Result<u64> {
        let number = self.jobs.keys().next_back().map_or(1, |last| last.saturating_add(1));
        self.write(number, &job)?;
        self.jobs.insert(number, job);
        Ok(number)
    }

    /// Changes a job; when this returns the change is on disk.
    ///
    /// # Errors
    /// What the system said; the job is as it was then.
    pub(crate) fn change(&mut self, number: u64, change: impl FnOnce(&mut Job)) -> io::Result<()> {
        let Some(mut job) = self.jobs.get(&number).cloned() else { return Ok(()) };
        change(&mut job);
        if job.stage.outcome().is_some() {
            job.document = None;
        }
        self.write(number, &job)?;
        self.jobs.insert(number, job);
        Ok(())
    }

    /// Forgets the oldest finished jobs beyond [`KEPT`], and returns their objects' paths.
    pub(crate) fn prune(&mut self) -> Vec<String> {
        let finished: Vec<u64> =
            self.jobs().filter(|(_, job)| job.stage.outcome().is_some()).map(|(number, _)| number).collect();
        let surplus = finished.len().saturating_sub(KEPT);
        let mut paths = Vec::new();
        for number in finished.into_iter().take(surplus) {
            if let Err(error) = fs::remove_file(self.file(number)) {
                log::warn!("the finished print job {number} can't be removed: {error}");
            }
            paths.extend(self.jobs.remove(&number).map(|job| job.path));
        }
        paths
    }

    fn file(&self, number: u64) -> PathBuf {
        self.folder.join(format!("job-{number:016}.json"))
    }

    fn write(&self, number: u64, job: &Job) -> io::Result<()> {
        let draft = self.folder.join("draft");
        let mut file = File::create(&draft)?;
        file.write_all(&serde_json::to_vec(job)?)?;
        file.sync_all()?;
        fs::rename(&draft, self.file(number))?;
        File::open(&self.folder)?.sync_all()
    }
}

fn number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix("job-")?.strip_suffix(".json")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(owner: &str, key: &str, urgent: bool) -> Job {
        Job {
            owner: owner.to_string(),
            key: key.to_string(),
            path: format!("/{owner}/{key}"),
            urgent,
            stage: Stage::Queued,
            doubtful: false,
            missing: String::new(),
            document: Some(serde_json::from_str(r#"[{"kind":"rule"}]"#).unwrap()),
            digest: String::new(),
        }
    }

    #[test]
    fn jobs_survive_in_their_order_and_urgent_ones_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path()).unwrap();
        let first = spool.add(job("shop", "a", false)).unwrap();
        spool.add(job("shop", "b", false)).unwrap();
        let urgent = spool.add(job("operator", "a", true)).unwrap();
        let mut again = Spool::open(folder.path()).unwrap();
        assert_eq!(again.next(), Some(urgent));
        again.change(urgent, |job| job.stage = Stage::Printed).unwrap();
        assert_eq!(again.get(urgent).unwrap().document, None);
        assert_eq!(again.next(), Some(first));
        assert_eq!(again.find("operator", "a").unwrap().0, urgent);
        assert_eq!(again.open_jobs("shop"), 2);
    }

    #[test]
    fn a_job_that_was_being_sent_is_doubtful_after_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path()).unwrap();
        let number = spool.add(job("shop", "a", false)).unwrap();
        spool.change(number, |job| job.stage = Stage::Sent).unwrap();
        drop(spool);
        assert!(Spool::open(folder.path()).unwrap().get(number).unwrap().doubtful);
    }

    #[test]
    fn a_half_written_file_does_not_stop_the_others() {
        let folder = tempfile::tempdir().unwrap();
        Spool::open(folder.path()).unwrap().add(job("shop", "a", false)).unwrap();
        fs::write(folder.path().join("job-0000000000000009.json"), b"{").unwrap();
        fs::write(folder.path().join("draft"), b"{").unwrap();
        assert_eq!(Spool::open(folder.path()).unwrap().jobs().count(), 1);
    }

    #[test]
    fn finished_jobs_are_bounded_and_waiting_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path()).unwrap();
        let waiting = spool.add(job("shop", "waiting", false)).unwrap();
        for key in 0..KEPT + 2 {
            spool.add(Job { stage: Stage::Printed, ..job("shop", &key.to_string(), false) }).unwrap();
        }
        assert_eq!(spool.prune(), ["/shop/0", "/shop/1"]);
        assert!(spool.get(waiting).is_some());
        assert_eq!(Spool::open(folder.path()).unwrap().jobs().count(), KEPT + 1);
    }
}
