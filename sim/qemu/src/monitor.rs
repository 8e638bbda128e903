//! QEMU's own control, QMP: what happens to the machine from outside.

use std::path::Path;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::error::{Error, Result};

/// The connection to QEMU's monitor.
#[derive(Debug)]
pub(crate) struct Monitor {
    stream: BufReader<UnixStream>,
}

impl Monitor {
    /// Connects to `socket`.
    pub(crate) async fn connect(socket: &Path) -> Result<Monitor> {
        let stream = UnixStream::connect(socket).await.map_err(Error::file(socket))?;
        let mut monitor = Monitor { stream: BufReader::new(stream) };
        monitor.execute("qmp_capabilities", json!({})).await?;
        Ok(monitor)
    }

    /// Plugs the network's cable in, or pulls it.
    pub(crate) async fn set_network(&mut self, plugged: bool) -> Result {
        self.execute("set_link", json!({ "name": "net", "up": plugged })).await
    }

    /// Plugs a device in, as `-device` describes it.
    pub(crate) async fn plug(&mut self, device: Value) -> Result {
        self.execute("device_add", device).await
    }

    /// Pulls out the device with this id, and what is plugged into it.
    pub(crate) async fn unplug(&mut self, id: &str) -> Result {
        self.execute("device_del", json!({ "id": id })).await
    }

    /// Connects to a socket, for a device that is plugged in later.
    pub(crate) async fn connect_device(&mut self, id: &str, socket: &Path) -> Result {
        let address = json!({ "type": "unix", "data": { "path": socket } });
        let backend = json!({ "type": "socket", "data": { "addr": address, "server": false } });
        self.execute("chardev-add", json!({ "id": id, "backend": backend })).await
    }

    /// Presses and releases a key, by its name on QEMU's keyboard (`QKeyCode`).
    pub(crate) async fn press(&mut self, key: &str) -> Result {
        let keys = json!([{ "type": "qcode", "data": key }]);
        self.execute("send-key", json!({ "keys": keys })).await
    }

    async fn execute(&mut self, command: &str, arguments: Value) -> Result {
        let broken = |error: std::io::Error| Error::Monitor(error.to_string());
        let request = json!({ "execute": command, "arguments": arguments });
        self.stream.get_mut().write_all(format!("{request}\n").as_bytes()).await.map_err(broken)?;
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await.map_err(broken)? == 0 {
                return Err(Error::Monitor("the machine has gone".to_owned()));
            }
            // The greeting and events come in between.
            let message: Value =
                serde_json::from_str(&line).map_err(|error| Error::Monitor(error.to_string()))?;
            if message.get("return").is_some() {
                return Ok(());
            }
            if let Some(error) = message.get("error") {
                return Err(Error::Monitor(format!("{command}: {error}")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn an_event_is_not_taken_for_the_answer_and_an_error_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("monitor.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let qemu = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"{\"QMP\":{}}\n{\"return\":{}}\n").await.unwrap();
            stream.write_all(b"{\"event\":\"RESUME\"}\n{\"error\":{\"desc\":\"no net\"}}\n").await.unwrap();
            stream
        };
        let (monitor, _stream) = tokio::join!(Monitor::connect(&socket), qemu);
        let error = monitor.unwrap().set_network(false).await.unwrap_err();
        assert!(error.to_string().contains("no net"), "{error}");
    }
}
