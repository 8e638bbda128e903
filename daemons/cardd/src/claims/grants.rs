//! Grants of cards that can never work: the owner hears of them when the daemon starts, and not an app when a customer waits.

use std::collections::BTreeSet;

use service::grants::{App, Permission};
use service::guard::Guard;

use crate::claims::filter::{Rid, payment_providers, pays};

/// Warns of what apps were granted in vain at a terminal that pays with `applications`.
pub(crate) fn warn_of_grants(guard: &Guard, applications: &[emv::Application]) {
    let payment = payment_providers(applications);
    for (id, app) in guard.apps() {
        for problem in problems(app, &payment) {
            log::warn!("smartpos.toml: apps.{id:?}: {problem}");
        }
    }
}

fn problems(app: &App, payment: &BTreeSet<Rid>) -> Vec<String> {
    let has = |permission| app.permissions.contains(&permission);
    let (cards, sams) = (has(Permission::CardNonpayment), has(Permission::CardSam));
    let (applications, slots) = (&app.card_applications, &app.sam_slots);
    let mut problems = Vec::new();
    let mut when = |wrong: bool, problem: &str| {
        if wrong {
            problems.push(problem.to_owned());
        }
    };
    when(
        (cards || sams) && applications.is_empty(),
        "it may claim card slots and select nothing there: list names in `card_applications`",
    );
    when(
        !cards && !sams && !applications.is_empty(),
        "it has `card_applications`, and neither `card.nonpayment` nor `card.sam`",
    );
    when(sams && slots.is_empty(), "it has `card.sam` and no slot: list numbers in `sam_slots`");
    when(!sams && !slots.is_empty(), "it has `sam_slots`, and not `card.sam`");
    let paying = applications.iter().filter(|application| pays(payment, application.as_bytes()));
    problems.extend(paying.map(|application| {
        let name = hex::encode_upper(application.as_bytes());
        format!("`card_applications`: {name} is of a payment scheme, and no app ever selects one")
    }));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(permissions: &[Permission], applications: &[&str], sam_slots: &[u8]) -> Vec<String> {
        let names = applications.iter().map(|name| (*name).to_owned().try_into().unwrap());
        let app = App {
            uid: 61000,
            permissions: permissions.to_vec(),
            card_applications: names.collect(),
            sam_slots: sam_slots.to_vec(),
        };
        problems(&app, &payment_providers(&[]))
    }

    #[test]
    fn each_grant_that_can_never_work_is_named_and_no_other() {
        const MEMBER: &str = "F0534D4152544D454D";
        const VISA: &str = "A0000000031010";
        use Permission::{CardNonpayment, CardSam, PrinterPrint};
        for right in [
            problems_of(&[PrinterPrint], &[], &[]),
            problems_of(&[CardNonpayment], &[MEMBER], &[]),
            problems_of(&[CardSam], &[MEMBER], &[1]),
            problems_of(&[CardNonpayment, CardSam], &[MEMBER], &[1, 2]),
        ] {
            assert_eq!(right, [""; 0]);
        }
        for (wrong, word) in [
            (problems_of(&[CardNonpayment], &[], &[]), "select nothing"),
            (problems_of(&[PrinterPrint], &[MEMBER], &[]), "neither"),
            (problems_of(&[CardSam], &[MEMBER], &[]), "no slot"),
            (problems_of(&[CardNonpayment], &[MEMBER], &[1]), "not `card.sam`"),
            (problems_of(&[CardNonpayment], &[MEMBER, VISA], &[]), VISA),
            (problems_of(&[CardNonpayment], &["315041592E"], &[]), "315041592E"),
        ] {
            assert!(wrong.len() == 1 && wrong[0].contains(word), "{word}: {wrong:?}");
        }
    }
}
