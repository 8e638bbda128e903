//! Whose object it is: the caller for whom it was made. Its signals go to that caller alone, and it is told when the caller leaves the bus.

use std::pin::pin;

use service::bus::{Buses, vanished};
use service::guard::Caller;
use tokio::sync::mpsc;
use zbus::object_server::SignalEmitter;

/// What an object tells its owner.
pub(crate) trait Signal: Send + 'static {
    /// Puts it on the bus.
    fn emit(self, emitter: &SignalEmitter<'static>) -> impl Future<Output = zbus::Result<()>> + Send;
}

/// Puts `signals` on the bus until their end, and does what is to be done when the owner has `left`. One that can't be watched counts as gone:
/// else what it has would be nobody's to give back.
pub(crate) async fn attend<S: Signal>(
    buses: Buses,
    owner: Caller,
    emitter: SignalEmitter<'static>,
    mut signals: mpsc::Receiver<S>,
    left: impl Future<Output = ()> + Send,
) {
    let leaving = pin!(async {
        if let Err(error) = vanished(buses.get(owner.bus), owner.name.clone()).await {
            log::warn!("{} can't be watched, and counts as gone: {error}", owner.name);
        }
        left.await;
        std::future::pending::<()>().await;
    });
    let emitting = async {
        while let Some(signal) = signals.recv().await {
            if let Err(error) = signal.emit(&emitter).await {
                log::warn!("{} can't be told: {error}", owner.name);
            }
        }
    };
    tokio::select! {
        () = emitting => {}
        () = leaving => {}
    }
}
