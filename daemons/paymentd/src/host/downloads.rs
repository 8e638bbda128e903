//! Parameters. Of those for the EMV kernel 0820 lists the records of a set, 0800 fetches each, and 0800 with the end's code says that
//! all were taken; those of the terminal itself one 0800 fetches. Which codes those are is data (`[downloads]` in the profile).

use std::sync::Arc;

use iso8583::{Builder, Mti};
use tlv::{Reader, Tag, tags};

use super::filling::{self, Filling};
use super::{Host, HostError, Link, dialect, parse};
use crate::downloads::Set;
use crate::terminal_parameters::TerminalParameters;

/// The most records that are taken of one set.
const MAX_RECORDS: usize = 100;

/// What comes first in an answer: whether the host has what was asked for, and whether the list goes on.
const COMPLETE: u8 = b'1';
const NONE: u8 = b'0';
const MORE: u8 = b'2';
const LAST: u8 = b'3';

impl Host {
    /// What the host has for terminals.
    pub(crate) fn offered_downloads(&self) -> Vec<Set> {
        self.profile.downloads.as_ref().map(|downloads| Set::offered(downloads).collect()).unwrap_or_default()
    }

    /// Notes what the host wants fetched, from the `header` of its answer.
    pub(super) fn note_due(&mut self, header: &[u8]) {
        let Some(downloads) = &self.profile.downloads else { return };
        let is_due = |set: &Set| downloads.is_due(set.due(downloads), header);
        self.due = Set::offered(downloads).filter(is_due).collect();
    }

    /// What the last sign-on said that is due, once.
    pub(crate) fn take_due(&mut self) -> Vec<Set> {
        std::mem::take(&mut self.due)
    }

    /// The names of the records that the host has of `set`, in its order: objects 9F06, and 9F22 of CA keys. None where it has
    /// nothing for this terminal.
    pub(crate) async fn list_records(
        &mut self,
        link: &mut Link,
        set: Set,
    ) -> Result<Vec<Vec<u8>>, HostError> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        loop {
            // How many are known already, in two digits: at most 99 of them are asked to go on.
            let asked = format!("1{:02}", names.len());
            let answer = self.download(link, set, Step::List, asked.as_bytes()).await?;
            let Some((kind, content)) = answer.split_first() else {
                return Err(unusable(set, "the list is empty"));
            };
            let page = split(set, content)?;
            let grows = !page.is_empty();
            for name in page {
                if names.len() == MAX_RECORDS || names.contains(&name) {
                    return Err(unusable(set, "the list has more than 100 records, or one of them twice"));
                }
                names.push(name);
            }
            match *kind {
                NONE if names.is_empty() => return Ok(names),
                COMPLETE | LAST if grows => return Ok(names),
                MORE if grows && names.len() < MAX_RECORDS => {}
                _ => return Err(unusable(set, "the list does not say how it goes on, or has no end")),
            }
        }
    }

    /// The record with this name.
    pub(crate) async fn fetch_record(
        &mut self,
        link: &mut Link,
        set: Set,
        name: &[u8],
    ) -> Result<Vec<u8>, HostError> {
        let answer = self.download(link, set, Step::Record, name).await?;
        let record = answer.strip_prefix(&[COMPLETE]);
        let record = record.ok_or_else(|| unusable(set, "the host has a record no longer that it listed"))?;
        match split(set, record)?.as_slice() {
            [got] if got == name => Ok(record.to_vec()),
            _ => Err(unusable(set, "a record is not the one that was asked for")),
        }
    }

    /// Says that all records of `set` were taken.
    pub(crate) async fn end_download(&mut self, link: &mut Link, set: Set) -> Result<(), HostError> {
        self.download(link, set, Step::End, &[]).await.map(drop)
    }

    /// What the host says of this terminal; `None` where that is nothing.
    pub(crate) async fn fetch_terminal(
        &mut self,
        link: &mut Link,
    ) -> Result<Option<TerminalParameters>, HostError> {
        let profile = Arc::clone(&self.profile);
        let downloads = profile.downloads.as_ref().ok_or(HostError::NotOffered("parameters"))?;
        let terminal = downloads.terminal.as_ref().ok_or(HostError::NotOffered("terminal parameters"))?;
        let answer = self.download(link, Set::Terminal, Step::Record, &[]).await?;
        if answer.is_empty() {
            return Ok(None);
        }
        let said = TerminalParameters::read(&terminal.parameters, &answer);
        said.map(Some).map_err(|problem| unusable(Set::Terminal, &problem))
    }

    /// Sends one request, and returns what the answer has.
    async fn download(
        &mut self,
        link: &mut Link,
        set: Set,
        step: Step,
        content: &[u8],
    ) -> Result<Vec<u8>, HostError> {
        let profile = Arc::clone(&self.profile);
        let downloads = profile.downloads.as_ref().ok_or(HostError::NotOffered("parameters"))?;
        let (mti, code) = step.request(downloads, set);
        let (stan, batch) = self.journal.next_stan().await?;
        let filling = Filling { batch, ..Filling::network(mti, &downloads.message_type, code) };
        let (own, serial) = (filling.fill(&profile.elements.network), self.key_serial().await?);
        let mut message = Builder::new(&profile.codec, mti);
        message.number(11, stan.into());
        message.text(41, &self.merchant.terminal).text(42, &self.merchant.merchant);
        filling::put(&mut message, &own);
        if !content.is_empty() {
            message.bytes(downloads.field, content);
        }
        dialect::put_serial(&mut message, &profile, &serial);
        let request = dialect::pack(message.empty_mac())?;
        let answer = self.exchange(link, request).await?;
        let answer = parse(&profile, &answer)?;
        self.verify(&answer).await?;
        dialect::check_echo(&answer, mti.answer(), stan, &self.merchant.terminal, &self.merchant.merchant)?;
        let refused = dialect::text(&answer, 39)?;
        if refused != "00" {
            return Err(unusable(set, &format!("the host refused with code {refused}")));
        }
        let content = answer.get(downloads.field).map(|value| value.content().into_owned());
        Ok(content.unwrap_or_default())
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
enum Step {
    List,
    Record,
    End,
}

impl Step {
    fn request(self, downloads: &iso8583::Downloads, set: Set) -> (Mti, &str) {
        let set = match set {
            Set::Capks => &downloads.capks,
            Set::Applications => &downloads.applications,
            // It is one record, without a list and an end.
            Set::Terminal => {
                let code = downloads.terminal.as_ref().map_or("", |terminal| &terminal.code);
                return (downloads.record_mti, code);
            }
        };
        match self {
            Step::List => (downloads.list_mti, &set.list),
            Step::Record => (downloads.record_mti, &set.record),
            Step::End => (downloads.record_mti, &set.end),
        }
    }
}

/// The names in a list, or the one of a record: each begins with 9F06.
fn split(set: Set, bytes: &[u8]) -> Result<Vec<Vec<u8>>, HostError> {
    const NAME: [Tag; 2] = [tags::AID, tags::CAPK_INDEX_TERMINAL];
    let mut names: Vec<Vec<u8>> = Vec::new();
    for object in Reader::new(bytes) {
        let object = object.map_err(|error| unusable(set, &error.to_string()))?;
        if object.tag == tags::AID {
            names.push(Vec::new());
        }
        let name = names.last_mut().ok_or_else(|| unusable(set, "a record does not begin with 9F06"))?;
        if NAME.contains(&object.tag) {
            let written = tlv::write(name, object.tag, object.value);
            written.map_err(|error| unusable(set, &error.to_string()))?;
        }
    }
    Ok(names)
}

fn unusable(set: Set, problem: &str) -> HostError {
    HostError::BadAnswer(format!("{}: {problem}", set.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_split_where_names_begin_and_keeps_what_names_a_record() {
        // The list of CA keys in the public test data of a terminal's ISO 8583 library, without the first character.
        let list =
            "9f0605a0000000039f220109df050832303136313233319f0605a0000000049f220106df05083230313631323331";
        let names = split(Set::Capks, &hex::decode(list).unwrap()).unwrap();
        assert_eq!(
            names.iter().map(hex::encode).collect::<Vec<_>>(),
            ["9f0605a0000000039f220109", "9f0605a0000000049f220106",]
        );
        for wrong in ["9f220109", "9f0605a000", "9f06"] {
            assert!(split(Set::Capks, &hex::decode(wrong).unwrap()).is_err(), "{wrong}");
        }
    }
}
