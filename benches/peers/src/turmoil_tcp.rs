//! The same on turmoil: a broker of one log behind simulated TCP. A produce request is a batch of records, each with its length
//! in front, answered by the end of the log; a fetch waits until there is something behind its position. The producer keeps
//! five batches on their way, writes each record anew, and the consumer takes each out of what it fetched.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use turmoil::net::{TcpListener, TcpStream};

use super::{RECORD_BYTES, RECORDS};

const IN_FLIGHT: usize = 5;
const PORT: u16 = 9092;
/// A record with its length in front.
const FRAMED_BYTES: usize = RECORD_BYTES + 4;
/// The most that one fetch returns. Kafka: max.partition.fetch.bytes.
const FETCH_BYTES: usize = 1 << 20;

#[derive(Default)]
struct Log {
    bytes: Mutex<Vec<u8>>,
    grew: Notify,
}

pub fn run(batch: usize) -> usize {
    let mut simulation = turmoil::Builder::new()
        .rng_seed(1)
        .simulation_duration(Duration::from_secs(100_000))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(1))
        .tcp_capacity(1024)
        .build();
    simulation.host("broker", || async {
        let log = Arc::new(Log::default());
        let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            turmoil_serve(stream, log.clone());
        }
    });
    simulation.client("producer", async move {
        let stream = TcpStream::connect(("broker", PORT)).await?;
        stream.set_nodelay(true)?;
        let (mut answers, mut requests) = stream.into_split();
        let (mut sent, mut acknowledged) = (0, 0);
        while acknowledged < RECORDS {
            while sent < RECORDS && sent - acknowledged < IN_FLIGHT * batch {
                let mut request = vec![b'p'];
                request.extend(((batch * FRAMED_BYTES) as u32).to_be_bytes());
                for number in sent..sent + batch {
                    request.extend((RECORD_BYTES as u32).to_be_bytes());
                    request.extend((number as u64).to_be_bytes());
                    request.resize(request.len() + RECORD_BYTES - 8, 7);
                }
                requests.write_all(&request).await?;
                sent += batch;
            }
            answers.read_u64().await?;
            acknowledged += batch;
        }
        Ok(())
    });
    let seen = Arc::new(Mutex::new(0));
    let counted = seen.clone();
    simulation.client("consumer", async move {
        let mut stream = TcpStream::connect(("broker", PORT)).await?;
        let mut buffer = vec![0; FETCH_BYTES];
        let (mut position, mut records) = (0u64, Vec::<Vec<u8>>::with_capacity(RECORDS));
        while records.len() < RECORDS {
            stream.write_all(b"f").await?;
            stream.write_u64(position).await?;
            let length = stream.read_u32().await? as usize;
            stream.read_exact(&mut buffer[..length]).await?;
            // What is cut off at the end is fetched again.
            let whole = buffer[..length - length % FRAMED_BYTES].chunks_exact(FRAMED_BYTES);
            records.extend(whole.map(|framed| framed[4..].to_vec()));
            position += (length - length % FRAMED_BYTES) as u64;
        }
        *counted.lock().expect("one thread") = records.len();
        Ok(())
    });
    simulation.run().expect("the simulation ends");
    let seen = *seen.lock().expect("one thread");
    seen
}

/// Serves one connection until it ends.
fn turmoil_serve(mut stream: TcpStream, log: Arc<Log>) {
    tokio::task::spawn_local(async move {
        while let Ok(kind) = stream.read_u8().await {
            if kind == b'p' {
                let length = stream.read_u32().await? as usize;
                let mut batch = vec![0; length];
                stream.read_exact(&mut batch).await?;
                let end = {
                    let mut bytes = log.bytes.lock().expect("one thread");
                    bytes.extend_from_slice(&batch);
                    bytes.len() as u64
                };
                log.grew.notify_waiters();
                stream.write_u64(end).await?;
            } else {
                let from = stream.read_u64().await? as usize;
                let fetched = loop {
                    let grew = log.grew.notified();
                    let fetched = {
                        let bytes = log.bytes.lock().expect("one thread");
                        bytes[from..bytes.len().min(from + FETCH_BYTES)].to_vec()
                    };
                    if !fetched.is_empty() {
                        break fetched;
                    }
                    grew.await;
                };
                stream.write_u32(fetched.len() as u32).await?;
                stream.write_all(&fetched).await?;
            }
        }
        Ok::<(), std::io::Error>(())
    });
}
