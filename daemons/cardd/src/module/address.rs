//! Where a secure module is that speaks the line protocol: a byte stream of the system's, or wires that carry one.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use link::Pace;
use serde::Deserialize;
use service::stream::{ByteStream, Endpoint};

use super::bulk;
use super::spi::Wires;

/// The address of a module.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Address {
    /// A serial line, a socket, a character device.
    Stream(Endpoint),
    /// SPI with an interrupt line.
    Spi(Wires),
    /// USB, by the device's node.
    Usb(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        match text.split_once(':') {
            Some(("spi", rest)) => rest.parse().map(Address::Spi),
            Some(("usb", rest)) => Ok(Address::Usb(rest.into())),
            _ => text.parse().map(Address::Stream).map_err(|error: String| {
                format!("{error}, or for a secure module usb:PATH or {}", Wires::FORM)
            }),
        }
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Address, String> {
        text.parse()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Stream(endpoint) => write!(f, "{endpoint}"),
            Address::Spi(wires) => write!(f, "{wires}"),
            Address::Usb(node) => write!(f, "usb:{}", node.display()),
        }
    }
}

impl Address {
    /// Opens the stream of bytes to the module, on the current runtime.
    ///
    /// # Errors
    /// What the system said, with the address.
    pub(crate) async fn open(&self) -> io::Result<Box<dyn ByteStream>> {
        match self {
            Address::Stream(endpoint) => endpoint.open().await,
            Address::Spi(wires) => Ok(Box::new(wires.open()?)),
            Address::Usb(node) => Ok(Box::new(bulk::open(node).await?)),
        }
    }

    /// How fast bytes go there and come from there.
    pub(crate) fn pace(&self) -> Pace {
        match self {
            Address::Stream(endpoint) => endpoint.baud().map_or_else(Pace::default, Pace::baud),
            Address::Spi(wires) => wires.pace(),
            // Quicker than the slowest line, and its packets are carried or fail.
            Address::Usb(_) => Pace::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_being_written_and_read() {
        for text in [
            "tty:/dev/smartpos/module?baud=9600",
            "spi:/dev/spidev0.0?hz=8000000&irq=/dev/gpiochip0:17",
            "usb:/dev/smartpos/module",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_to_write() {
        for (text, word) in [
            ("uart", "spi:"),
            ("uart", "usb:"),
            ("spi:/dev/spidev0.0", "hz="),
            ("spi:/dev/spidev0.0?hz=1000000", "irq="),
            ("spi:/dev/spidev0.0?hz=0&irq=/dev/gpiochip0:17", "`0`"),
            ("spi:/dev/spidev0.0?hz=9&irq=/dev/gpiochip0", "`/dev/gpiochip0`"),
            ("spi:/dev/spidev0.0?hz=9&irq=/dev/gpiochip0:x", "`x`"),
            ("spi:/dev/spidev0.0?hz=9&irq=/dev/gpiochip0:1&mode=3", "`mode`"),
            ("spi:/dev/spidev0.0?hz=9&hz=10&irq=/dev/gpiochip0:1", "`hz`"),
        ] {
            let problem = text.parse::<Address>().unwrap_err();
            assert!(problem.contains(word), "{text}: {problem}");
        }
    }
}
