//! What a module says of its own health.

/// One self-test of the module, and whether it passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfTestResult {
    /// What was tested, such as `aes`.
    pub name: String,
    /// Whether it passed.
    pub passed: bool,
}
