//! On turmoil, over its TCP: the least queue there is. A frame is a length and records of one size; the producer has up to
//! 64 frames on their way, the broker keeps records in memory, the consumer fetches what is there up to a thousand records.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::sync::Notify;
use turmoil::net::{TcpListener, TcpStream};

use crate::{RECORD_BYTES, RECORDS};

const PRODUCE: u8 = 0;
const FETCH: u8 = 1;
const IN_FLIGHT: u64 = 64;
const FETCH_RECORDS: usize = 1_000;
const PORT: u16 = 9092;

#[derive(Default)]
struct Log {
    bytes: RefCell<Vec<u8>>,
    grown: Notify,
}

pub fn run(batch: u64) {
    let mut builder = turmoil::Builder::new();
    builder.simulation_duration(Duration::from_secs(3_600)).rng_seed(1).tcp_capacity(1 << 16);
    builder.min_message_latency(Duration::from_millis(1)).max_message_latency(Duration::from_millis(1));
    let mut simulation = builder.build();
    simulation.host("broker", || async {
        let log = Rc::new(Log::default());
        let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::task::spawn_local(serve(stream, log.clone()));
        }
    });
    simulation.client("producer", async move {
        let stream = TcpStream::connect(("broker", PORT)).await?;
        let (read, write) = stream.into_split();
        let (mut read, mut write) = (BufReader::new(read), BufWriter::new(write));
        write.write_u8(PRODUCE).await?;
        let frame = vec![7; batch as usize * RECORD_BYTES];
        let (mut sent, mut acknowledged) = (0, 0);
        while acknowledged < RECORDS / batch {
            while sent < RECORDS / batch && sent - acknowledged < IN_FLIGHT {
                write.write_u32(frame.len() as u32).await?;
                write.write_all(&frame).await?;
                // A frame is a request of its own, as a client that does not wait for more would send it.
                write.flush().await?;
                sent += 1;
            }
            read.read_u8().await?;
            acknowledged += 1;
        }
        Ok(())
    });
    simulation.client("consumer", async {
        let stream = TcpStream::connect(("broker", PORT)).await?;
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        write.write_u8(FETCH).await?;
        let mut received = 0;
        let mut records = Vec::new();
        while received < RECORDS {
            write.write_u64(received).await?;
            let length = read.read_u32().await? as usize;
            records.resize(length, 0);
            read.read_exact(&mut records).await?;
            received += (length / RECORD_BYTES) as u64;
        }
        Ok(())
    });
    simulation.run().expect("both clients end");
}

async fn serve(stream: TcpStream, log: Rc<Log>) -> std::io::Result<()> {
    let (read, write) = stream.into_split();
    let (mut read, mut write) = (BufReader::new(read), BufWriter::new(write));
    match read.read_u8().await? {
        PRODUCE => {
            let mut frame = Vec::new();
            loop {
                let length = read.read_u32().await? as usize;
                frame.resize(length, 0);
                read.read_exact(&mut frame).await?;
                log.bytes.borrow_mut().extend_from_slice(&frame);
                log.grown.notify_one();
                write.write_u8(0).await?;
                write.flush().await?;
            }
        }
        _ => loop {
            let from = read.read_u64().await? as usize * RECORD_BYTES;
            while log.bytes.borrow().len() <= from {
                log.grown.notified().await;
            }
            let records = {
                let bytes = log.bytes.borrow();
                let end = bytes.len().min(from + FETCH_RECORDS * RECORD_BYTES);
                bytes[from..end].to_vec()
            };
            write.write_u32(records.len() as u32).await?;
            write.write_all(&records).await?;
            write.flush().await?;
        },
    }
}
