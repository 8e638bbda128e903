//! The printer's byte stream: opened again and again, in step with the printer before anything is printed.
//!
//! A printer may still hold a job, and owe a barrier, from before the stream was opened. So a new stream begins
//! with a barrier of its own, and counts as open only when the answers have come to rest.

use std::io;
use std::time::Duration;

use escpos::command::{AUTO_STATUS, BARRIER, INITIALISE, PAPER_NOW};
use escpos::status::{Event, Paper, Parser, Status, paper_now};
use service::stream::{ByteStream, Endpoint};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

/// Between two attempts to open the stream.
const RETRY: Duration = Duration::from_secs(1);
/// No answer within this after the first: there is none left.
const REST: Duration = Duration::from_millis(200);
/// How often a printer that owes an answer is asked for its paper.
const ASK: Duration = Duration::from_secs(2);
/// A printer that takes no byte for so long has hung; without paper it may take as long as it likes.
const STUCK: Duration = Duration::from_secs(30);

/// What the printer's side tells.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum News {
    /// The stream with this number is open, and the printer in step.
    Open(u64),
    /// The stream is gone, and why.
    Gone(String),
    /// The printer's state.
    Status(Status),
    /// The paper alone.
    Paper(Paper),
    /// What was sent is on paper.
    Proven,
}

/// What is to be printed on the stream with this number, and on no other.
pub(crate) type Work = (u64, Vec<u8>);

/// Keeps the stream open. All of one message of `work` is sent, and a barrier after it.
pub(crate) async fn run(endpoint: Endpoint, mut work: mpsc::Receiver<Work>, news: mpsc::Sender<News>) {
    let mut last_problem = String::new();
    let mut number = 0_u64;
    loop {
        number = number.saturating_add(1);
        let problem = match endpoint.open().await {
            Ok(stream) => match session(number, stream, &mut work, &news).await {
                Ok(()) => return,
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        if problem != last_problem {
            log::warn!("the printer is away: {problem}");
            last_problem.clone_from(&problem);
        }
        if news.send(News::Gone(problem)).await.is_err() {
            return;
        }
        sleep(RETRY).await;
    }
}

/// One stream, until it fails; `Ok` when nobody has work any more.
async fn session(
    number: u64,
    stream: Box<dyn ByteStream>,
    work: &mut mpsc::Receiver<Work>,
    news: &mpsc::Sender<News>,
) -> io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut parser = Parser::new();
    let mut unsent = [&PAPER_NOW[..], &INITIALISE, &AUTO_STATUS, &BARRIER].concat();
    let mut buffer = [0; 256];
    let mut open = false;
    let mut owes = true;
    let mut again = false;
    let mut rest: Option<Instant> = None;
    let mut ask = Instant::now() + ASK;
    let mut paper_out = false;
    let mut moved = Instant::now();
    loop {
        tokio::select! {
            count = reader.read(&mut buffer) => {
                let count = count?;
                if count == 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream was closed"));
                }
                for event in buffer.iter().take(count).filter_map(|byte| parser.push(*byte)) {
                    let told = match event {
                        Event::Barrier(paper) if !open && paper != Paper::Out => {
                            rest = Some(Instant::now() + REST);
                            continue;
                        }
                        Event::Barrier(_) if !owes => continue,
                        // Some printers answer at once that they have no paper: that proves nothing.
                        Event::Barrier(Paper::Out) => {
                            again = true;
                            News::Paper(Paper::Out)
                        }
                        Event::Barrier(_) => {
                            owes = false;
                            News::Proven
                        }
                        Event::Status(status) => {
                            paper_out = status.paper == Paper::Out;
                            News::Status(status)
                        }
                        Event::RealTime(byte) => {
                            paper_out = paper_now(byte) == Paper::Out;
                            News::Paper(paper_now(byte))
                        }
                    };
                    moved = Instant::now();
                    news.send(told).await.map_err(io::Error::other)?;
                }
            }
            count = writer.write(&unsent), if !unsent.is_empty() => {
                let count = count?;
                unsent.drain(..count.min(unsent.len()));
                moved = Instant::now();
                if unsent.is_empty() {
                    writer.flush().await?;
                }
            }
            bytes = work.recv(), if open && !owes => {
                let Some((stream, bytes)) = bytes else { return Ok(()) };
                // What came late for a stream that is gone: its job is known to be doubtful.
                if stream != number {
                    continue;
                }
                unsent = bytes;
                unsent.extend(BARRIER);
                owes = true;
                moved = Instant::now();
                ask = moved + ASK;
            }
            () = sleep_until(rest.unwrap_or(ask)), if rest.is_some() => {
                (open, owes, rest) = (true, false, None);
                news.send(News::Open(number)).await.map_err(io::Error::other)?;
            }
            () = sleep_until(ask), if owes => {
                ask = Instant::now() + ASK;
                if unsent.is_empty() {
                    unsent.extend(PAPER_NOW);
                    if std::mem::take(&mut again) {
                        unsent.extend(BARRIER);
                    }
                } else if !paper_out && moved.elapsed() > STUCK {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "the printer takes no bytes"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;

    use super::*;

    struct Bench {
        printer: DuplexStream,
        work: mpsc::Sender<Work>,
        news: mpsc::Receiver<News>,
    }

    /// A session, number 7, with the printer's side in the test's hands.
    fn bench() -> Bench {
        let (ours, printer) = tokio::io::duplex(1024);
        let (work, mut sent) = mpsc::channel(4);
        let (told, news) = mpsc::channel(64);
        tokio::spawn(async move { session(7, Box::new(ours), &mut sent, &told).await });
        Bench { printer, work, news }
    }

    async fn expect(printer: &mut DuplexStream, wanted: &[u8]) {
        let mut got = vec![0; wanted.len()];
        printer.read_exact(&mut got).await.unwrap();
        assert_eq!(got, wanted);
    }

    const GREETING: &[u8] = b"\x10\x04\x04\x1b@\x1da\x0f\x1dr\x01";

    #[tokio::test]
    async fn an_answer_owed_from_before_proves_nothing() {
        let mut bench = bench();
        expect(&mut bench.printer, GREETING).await;
        // The barrier of a job that an earlier stream sent, then our own.
        bench.printer.write_all(&[0, 0]).await.unwrap();
        assert_eq!(bench.news.recv().await, Some(News::Open(7)));
        bench.work.send((7, b"job".to_vec())).await.unwrap();
        expect(&mut bench.printer, b"job\x1dr\x01").await;
        assert!(bench.news.try_recv().is_err(), "nothing is proven yet");
        bench.printer.write_all(&[0]).await.unwrap();
        assert_eq!(bench.news.recv().await, Some(News::Proven));
    }

    #[tokio::test]
    async fn work_for_another_stream_is_not_printed() {
        let mut bench = bench();
        expect(&mut bench.printer, GREETING).await;
        bench.work.send((6, b"late".to_vec())).await.unwrap();
        bench.work.send((7, b"new".to_vec())).await.unwrap();
        bench.printer.write_all(&[0]).await.unwrap();
        expect(&mut bench.printer, b"new\x1dr\x01").await;
    }

    #[tokio::test]
    async fn an_answer_without_paper_proves_nothing_and_is_asked_for_again() {
        let mut bench = bench();
        expect(&mut bench.printer, GREETING).await;
        bench.printer.write_all(&[0]).await.unwrap();
        assert_eq!(bench.news.recv().await, Some(News::Open(7)));
        bench.work.send((7, b"job".to_vec())).await.unwrap();
        expect(&mut bench.printer, b"job\x1dr\x01").await;
        bench.printer.write_all(&[0x0C]).await.unwrap();
        assert_eq!(bench.news.recv().await, Some(News::Paper(Paper::Out)));
        expect(&mut bench.printer, b"\x10\x04\x04\x1dr\x01").await;
        bench.printer.write_all(&[0]).await.unwrap();
        assert_eq!(bench.news.recv().await, Some(News::Proven));
    }
}
