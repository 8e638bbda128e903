//! The processes that a virtual terminal is made of.

use std::fmt;

/// One process of a virtual terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The bus of the daemons and the operator.
    SystemBus,
    /// The bus of the apps.
    AppBus,
    /// The virtual secure module, with PIN pad and a drawer of cards.
    Module,
    /// The virtual card in the USB reader of a machine in QEMU; no other terminal has one.
    Reader,
    /// The virtual printer.
    Printer,
    /// The virtual acquirer host.
    Acquirer,
    /// The virtual disk of a machine in QEMU; no other terminal has one.
    Disk,
    /// `smartpos-cardd`.
    Cardd,
    /// `smartpos-printerd`.
    Printerd,
    /// `smartpos-paymentd`.
    Paymentd,
}

impl Part {
    /// Those of every terminal, in the order in which they are started.
    pub const ALL: [Part; 8] = [
        Part::SystemBus,
        Part::AppBus,
        Part::Module,
        Part::Printer,
        Part::Acquirer,
        Part::Cardd,
        Part::Printerd,
        Part::Paymentd,
    ];

    /// Those that also run on a real terminal.
    pub const DAEMONS: [Part; 3] = [Part::Cardd, Part::Printerd, Part::Paymentd];

    /// Its name in logs and folders.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Part::SystemBus => "system-bus",
            Part::AppBus => "app-bus",
            Part::Module => "module",
            Part::Reader => "reader",
            Part::Printer => "printer",
            Part::Acquirer => "acquirer",
            Part::Disk => "disk",
            Part::Cardd => "cardd",
            Part::Printerd => "printerd",
            Part::Paymentd => "paymentd",
        }
    }

    /// Its program: of this workspace, or for the buses of the system.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Part::SystemBus | Part::AppBus => "dbus-daemon",
            Part::Module => "smartpos-sim-module",
            Part::Reader => "smartpos-sim-reader",
            Part::Printer => "smartpos-sim-printer",
            Part::Acquirer => "smartpos-sim-acquirer",
            Part::Disk => "smartpos-sim-disk",
            Part::Cardd => "smartpos-cardd",
            Part::Printerd => "smartpos-printerd",
            Part::Paymentd => "smartpos-paymentd",
        }
    }

    pub(crate) fn is_daemon(self) -> bool {
        Part::DAEMONS.contains(&self)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
