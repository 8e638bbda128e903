//! Operators with roles: what a person on the system bus may do.
//!
//! Where nobody is listed, every operator may do everything. As soon as one is, a member of the operators' group who is not
//! listed is nobody. Root, and the uid that develops, may do everything unless they are listed themselves.

use serde::Deserialize;

use crate::grants::{Permission, Shared};

/// Characters of an operator's name: it stands on receipts.
const MAX_NAME: usize = 16;

/// One person who operates the terminal: the uid of their account, and what they are there.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// The uid of the account.
    pub uid: u32,
    /// Names of `[roles]`; together they say what the person may do.
    #[serde(default)]
    pub roles: Vec<String>,
}

impl Shared {
    /// Whether `uid` operates the terminal; `in_group` where the account is a member of the operators' group.
    pub(crate) fn is_operator(&self, uid: u32, in_group: bool) -> bool {
        self.listed(uid).is_some() || self.may_everything(uid) || (in_group && self.operators.is_empty())
    }

    /// Whether the operator `uid` may do what needs `permission`.
    pub(crate) fn operator_may(&self, uid: u32, permission: Permission) -> bool {
        let Some((_, operator)) = self.listed(uid) else {
            return self.may_everything(uid) || self.operators.is_empty();
        };
        let roles = operator.roles.iter().filter_map(|role| self.roles.get(role));
        roles.flatten().any(|granted| *granted == permission)
    }

    /// What records call the operator `uid`: the name of the list, or `root`, or the number.
    pub(crate) fn operator_name(&self, uid: u32) -> String {
        match (self.listed(uid), uid) {
            (Some((name, _)), _) => name.to_string(),
            (None, 0) => "root".to_string(),
            (None, uid) => format!("uid {uid}"),
        }
    }

    fn listed(&self, uid: u32) -> Option<(&str, &Operator)> {
        let found = self.operators.iter().find(|(_, operator)| operator.uid == uid);
        found.map(|(name, operator)| (name.as_str(), operator))
    }

    fn may_everything(&self, uid: u32) -> bool {
        uid == 0 || self.development.as_ref().is_some_and(|development| development.uid == uid)
    }

    /// Checks what the types can't say of operators.
    pub(crate) fn check_operators(&self) -> Result<(), String> {
        for (name, operator) in &self.operators {
            let wrong = |problem: String| Err(format!("smartpos.toml: operators.{name:?}{problem}"));
            let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
            if name.is_empty() || name.len() > MAX_NAME || !letters {
                return wrong(format!(": a name is 1 to {MAX_NAME} letters, digits or any of . _ -"));
            }
            if let Some(role) = operator.roles.iter().find(|role| !self.roles.contains_key(*role)) {
                return wrong(format!(".roles: [roles] has no {role:?}"));
            }
            let same = |(other, one): &(&String, &Operator)| one.uid == operator.uid && *other != name;
            if let Some((other, _)) = self.operators.iter().find(same) {
                return wrong(format!(".uid: {} is the uid of {other} already", operator.uid));
            }
            if let Some((app, _)) = self.apps.iter().find(|(_, app)| app.uid == operator.uid) {
                return wrong(format!(".uid: {} is the uid of the app {app}", operator.uid));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREW: &str = "
        [roles]
        till = ['payment.start', 'payment.read']
        supervisor = ['payment.void', 'payment.approve']
        [operators.ann]
        uid = 1001
        roles = ['till']
        [operators.li]
        uid = 1002
        roles = ['till', 'supervisor']
        [operators.new]
        uid = 1003
    ";

    fn shared(text: &str) -> Shared {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn an_operator_may_what_their_roles_say_together_and_no_more() {
        let crew = shared(CREW);
        assert_eq!(crew.check(), Ok(()));
        for (uid, permission, allowed) in [
            (1001, Permission::PaymentStart, true),
            (1001, Permission::PaymentVoid, false),
            (1001, Permission::PaymentApprove, false),
            (1002, Permission::PaymentStart, true),
            (1002, Permission::PaymentApprove, true),
            (1002, Permission::PaymentSettle, false),
            (1003, Permission::PaymentRead, false),
            (0, Permission::PaymentSettle, true),
        ] {
            assert_eq!(crew.operator_may(uid, permission), allowed, "{uid} {permission}");
        }
        assert_eq!((crew.operator_name(1002), crew.operator_name(0)), ("li".to_string(), "root".to_string()));
    }

    #[test]
    fn once_somebody_is_listed_the_rest_of_the_group_is_nobody() {
        assert!(Shared::default().is_operator(1004, true) && !Shared::default().is_operator(1004, false));
        assert!(Shared::default().operator_may(1004, Permission::PaymentApprove));
        let crew = shared(CREW);
        assert!(!crew.is_operator(1004, true) && crew.is_operator(1003, false) && crew.is_operator(0, false));
    }

    #[test]
    fn a_list_that_contradicts_itself_is_refused() {
        for wrong in [
            "[operators.ann]\nuid = 1001\nroles = ['boss']",
            "[operators.ann]\nuid = 1001\n[operators.li]\nuid = 1001",
            "[operators.'a b']\nuid = 1001",
            "[operators.ann]\nuid = 61001\n[apps.'com.example.shop']\nuid = 61001",
        ] {
            assert!(shared(wrong).check().is_err(), "{wrong}");
        }
    }
}
