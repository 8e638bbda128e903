//! Buses and virtual hardware without the daemons. Needs the programs: `cargo build --workspace`.

#![allow(clippy::unwrap_used, reason = "a helper outside of the tests may stop at the first surprise too")]

use sim_terminal::{Error, Part, Terminal};

/// A terminal with no daemon, and the folder of its records.
async fn hardware() -> (Terminal, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let terminal = Terminal::builder(folder.path()).daemons(&[]).start().await.unwrap();
    (terminal, folder)
}

#[tokio::test]
async fn every_piece_of_hardware_answers_and_refuses_nonsense() {
    let (terminal, _folder) = hardware().await;
    for words in
        [&["card", "list"][..], &["paper", "status"], &["host", "status"], &["ledger"], &["qr", "status"]]
    {
        terminal.simctl(words).await.unwrap();
    }
    let error = terminal.simctl(&["card", "insert", "no-such-card"]).await.unwrap_err();
    assert!(matches!(error, Error::Control { .. }), "{error}");
    assert_eq!(terminal.ledger().await.unwrap(), []);
    terminal.stop().await.unwrap();
}

#[tokio::test]
async fn a_host_that_was_killed_comes_back_where_it_was() {
    let (mut terminal, _folder) = hardware().await;
    for (part, ledger) in [(Part::Acquirer, &["ledger"][..]), (Part::Gateway, &["qr", "ledger"])] {
        let before = terminal.address(part).unwrap();
        terminal.kill(part).await.unwrap();
        assert!(terminal.simctl(ledger).await.is_err());
        terminal.restart(part).await.unwrap();
        assert_eq!(terminal.address(part).unwrap(), before);
        terminal.simctl(ledger).await.unwrap();
    }
}

#[tokio::test]
async fn a_part_that_dies_is_noticed() {
    let (mut terminal, _folder) = hardware().await;
    let pid = i32::try_from(terminal.pid(Part::Printer).unwrap()).unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    assert_eq!(terminal.next_end().await, Part::Printer);
    terminal.restart(Part::Printer).await.unwrap();
    terminal.simctl(&["paper", "status"]).await.unwrap();
}

#[tokio::test]
async fn apps_can_own_and_call_nothing_but_smartpos_on_their_bus() {
    let (terminal, _folder) = hardware().await;
    let app = terminal.app_bus().await.unwrap();
    let other = terminal.app_bus().await.unwrap();
    assert!(app.request_name("com.example.Shop").await.is_err());
    let name = other.unique_name().unwrap().to_string();
    let call = app.call_method(Some(name.as_str()), "/", Some("com.example.Shop"), "Hello", &()).await;
    let Err(zbus::Error::FDO(error)) = call else { panic!("the bus let it pass: {call:?}") };
    assert!(matches!(*error, zbus::fdo::Error::AccessDenied(_)), "{error}");
}
