//! Draws the machine into `docs/transaction-states.md`, from [`next`](super::next) itself.
//!
//! `SMARTPOS_UPDATE_DOCS=1 cargo test -p smartpos-paymentd diagram` writes the file.

use std::fmt::Write as _;
use std::path::Path;

use super::{Outcome, State, Step, next};
use crate::services::{Class, Service};

const CLASSES: [(Class, &str, &str); 6] = [
    (Class::Money, "Money", "What is in doubt is reversed, until the host acknowledges that."),
    (Class::Inquiry, "Inquiry", "No money moves: what is in doubt has failed, and nothing is to be undone."),
    (Class::Settlement, "Settlement", "It is asked again until the host answers, also after a restart."),
    (
        Class::Code,
        "Code",
        "Money of a wallet. What is in doubt is cancelled at the QR gateway, until it acknowledges that.",
    ),
    (
        Class::CodeReturn,
        "Code return",
        "Money back to a wallet. It is asked again until the QR gateway answers, also after a restart; meanwhile others go on.",
    ),
    (Class::Record, "Record", "The host never hears of it; asked for and ended in one commit."),
];

fn steps() -> Vec<(Step, String)> {
    let mut steps = vec![
        (Step::OverCardLimit, "over-card-limit".to_string()),
        (Step::SupervisorApproved, "supervisor-approved".to_string()),
        (Step::Authorized, "authorized".to_string()),
        (Step::Answered, "answered".to_string()),
        (Step::Uploaded, "uploaded".to_string()),
        (Step::CertificateSent, "certificate-sent".to_string()),
    ];
    steps.push((Step::ApprovedOffline, "approved-offline".to_string()));
    steps.extend(
        Outcome::ALL.map(|outcome| (Step::Finished(outcome), format!("finished: {}", outcome.as_str()))),
    );
    for (step, word) in [
        (Step::AdviceSent, "advice-sent"),
        (Step::AdviceAcknowledged, "advice-acknowledged"),
        (Step::AdviceRefused, "advice-refused"),
        (Step::AdviceWithdrawn, "advice-withdrawn"),
    ] {
        steps.push((step, word.to_string()));
    }
    steps.push((Step::ReversalAcknowledged, "reversal-acknowledged".to_string()));
    steps.push((Step::ScriptTold, "script-told".to_string()));
    steps.push((Step::ReceiptQueued, "receipt-queued".to_string()));
    steps
}

/// What may be done once the step is durable, and not before.
fn allows(step: Step) -> &'static str {
    match step {
        Step::OverCardLimit => "a supervisor is asked",
        Step::SupervisorApproved => "it goes on like one within the limits",
        Step::Authorized => "the first byte of the request leaves",
        Step::Answered => "the card, or the upload, goes on with the host's answer",
        Step::ApprovedOffline => "the receipt is printed and the end is told",
        Step::AdviceSent => "the first byte of the advice leaves, and again until it is answered",
        Step::AdviceAcknowledged | Step::AdviceRefused => "something else goes online",
        Step::AdviceWithdrawn => "the void is told",
        Step::Uploaded => "the next group is sent",
        Step::CertificateSent => "the next certificate is sent",
        Step::Finished(Outcome::Reversed) => "the reversal is sent, and its end is told",
        Step::Finished(Outcome::Approved) => "the receipt is printed and the end is told",
        Step::Finished(_) => "the end is told",
        Step::ReversalAcknowledged => "other transactions go online",
        Step::ScriptTold => "the results of the next card's scripts are sent",
        Step::ReceiptQueued => "the next receipt is handed to the printer",
    }
}

fn draw() -> String {
    let mut text = String::from(
        "# The states of a transaction\n\n\
         Drawn from `daemons/paymentd/src/transaction.rs` by a test; don't edit. Each event is durable before what it allows is done.\n",
    );
    for (class, name, about) in CLASSES {
        let services = Service::ALL.iter().filter(|service| service.class() == class);
        let services: Vec<String> = services.map(|service| format!("`{}`", service.as_str())).collect();
        let _ = write!(
            text,
            "\n## {name}\n\n{}. {about}\n\n```mermaid\nstateDiagram-v2\n    [*] --> created\n    [*] --> approval: over a limit\n",
            services.join(", ")
        );
        for state in State::ALL {
            for (step, word) in steps() {
                if let Some(after) = next(class, state, step) {
                    let _ = writeln!(
                        text,
                        "    {} --> {}: {}",
                        state.as_str(),
                        after.as_str(),
                        word.replace(": ", " ")
                    );
                }
            }
        }
        text.push_str("```\n\n| in state | event | to state | only then |\n| --- | --- | --- | --- |\n");
        for state in State::ALL {
            for (step, word) in steps() {
                if let Some(after) = next(class, state, step) {
                    let _ = writeln!(
                        text,
                        "| {} | {word} | {} | {} |",
                        state.as_str(),
                        after.as_str(),
                        allows(step)
                    );
                }
            }
        }
    }
    text
}

#[test]
fn the_published_diagram_is_the_machine_itself() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/transaction-states.md");
    let drawn = draw();
    if std::env::var_os("SMARTPOS_UPDATE_DOCS").is_some() {
        std::fs::write(&file, &drawn).unwrap();
    }
    let published = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(published, drawn, "{} is not what the code does", file.display());
}
