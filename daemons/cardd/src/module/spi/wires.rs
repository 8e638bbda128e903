//! The wires on a board: a device of spidev, and a line of a GPIO chip.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::str::FromStr;

use link::Pace;
use linux_embedded_hal::SpidevDevice;
use linux_embedded_hal::gpio_cdev::{Chip, EventRequestFlags, LineEventHandle, LineRequestFlags};
use linux_embedded_hal::spidev::{SpiModeFlags, Spidev, SpidevOptions};
use rustix::fs::OFlags;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;

use super::{Interrupt, stream};

/// Where the wires are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wires {
    device: PathBuf,
    /// The clock, in hertz.
    hz: u32,
    /// The GPIO chip of the interrupt line, and the line's number there.
    chip: PathBuf,
    line: u32,
}

impl Wires {
    /// How the address is written.
    pub(crate) const FORM: &str = "spi:PATH?hz=CLOCK&irq=GPIOCHIP:LINE";

    /// Opens both, and begins to carry bytes on the current runtime.
    ///
    /// # Errors
    /// What the system said of which of them.
    pub(crate) fn open(&self) -> io::Result<UnixStream> {
        let device = self.device.display();
        let spi =
            self.open_device().map_err(|error| io::Error::new(error.kind(), format!("{device}: {error}")))?;
        let interrupt = self.open_interrupt().map_err(|error| {
            let (chip, line) = (self.chip.display(), self.line);
            io::Error::new(error.kind(), format!("line {line} of {chip}: {error}"))
        })?;
        stream(spi, interrupt)
    }

    /// Ten bits for a byte allow for the pauses between transfers.
    pub(crate) fn pace(&self) -> Pace {
        Pace::baud(self.hz)
    }

    fn open_device(&self) -> io::Result<SpidevDevice> {
        let mut device = Spidev::open(&self.device)?;
        let mut options = SpidevOptions::new();
        options.bits_per_word(8).max_speed_hz(self.hz).lsb_first(false).mode(SpiModeFlags::SPI_MODE_0);
        device.configure(&options)?;
        Ok(SpidevDevice(device))
    }

    fn open_interrupt(&self) -> io::Result<Gpio> {
        let flags = LineRequestFlags::INPUT | LineRequestFlags::ACTIVE_LOW;
        let line = Chip::new(&self.chip).and_then(|mut chip| chip.get_line(self.line));
        // Of an active-low line the edge that rises is the one to low.
        let line = line.and_then(|line| line.events(flags, EventRequestFlags::RISING_EDGE, "smartpos-cardd"));
        Gpio::new(line.map_err(io::Error::other)?)
    }
}

impl FromStr for Wires {
    type Err = String;

    /// Reads what follows `spi:`.
    fn from_str(text: &str) -> Result<Wires, String> {
        let wrong = |problem: &str| format!("spi:{text}: {problem}; use {}", Wires::FORM);
        let (device, settings) = text.split_once('?').ok_or_else(|| wrong("it lacks hz= and irq="))?;
        let (mut hz, mut irq) = (None, None);
        for setting in settings.split('&') {
            let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
            let place = match key {
                "hz" => &mut hz,
                "irq" => &mut irq,
                _ => return Err(wrong(&format!("`{key}` is no setting of SPI"))),
            };
            if place.replace(value).is_some() {
                return Err(wrong(&format!("`{key}` is there twice")));
            }
        }
        let hz = hz.ok_or_else(|| wrong("it lacks hz="))?;
        let irq = irq.ok_or_else(|| wrong("it lacks irq="))?;
        let (chip, line) =
            irq.rsplit_once(':').ok_or_else(|| wrong(&format!("`{irq}` names no line of a chip")))?;
        let clock = hz.parse().ok().filter(|hz| *hz > 0);
        Ok(Wires {
            device: device.into(),
            hz: clock.ok_or_else(|| wrong(&format!("`{hz}` is no clock in hertz")))?,
            chip: chip.into(),
            line: line.parse().map_err(|_| wrong(&format!("`{line}` is no number of a line")))?,
        })
    }
}

impl fmt::Display for Wires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wires { device, hz, chip, line } = self;
        write!(f, "spi:{}?hz={hz}&irq={}:{line}", device.display(), chip.display())
    }
}

/// A line of a GPIO chip whose edges the kernel keeps, up to 16 of them.
struct Gpio(AsyncFd<LineEventHandle>);

impl Gpio {
    #[expect(deprecated, reason = "unsound only for types whose descriptor can change; a line's never does")]
    fn new(line: LineEventHandle) -> io::Result<Gpio> {
        rustix::fs::fcntl_setfl(&line, OFlags::NONBLOCK)?;
        AsyncFd::new(line).map(Gpio)
    }
}

impl Interrupt for Gpio {
    fn active(&self) -> io::Result<bool> {
        self.0.get_ref().get_value().map(|value| value == 1).map_err(io::Error::other)
    }

    async fn edge(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.0.readable().await?;
            // Which edges they were doesn't matter, so that all are read at once: 16 bytes each.
            let read = ready.try_io(|line| Ok(rustix::io::read(line.get_ref().as_fd(), &mut [0; 256])?));
            match read {
                Ok(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => return read.map(drop),
                Err(_would_block) => {}
            }
        }
    }
}
