//! The same on madsim-rdkafka: its simulated broker, its `BaseProducer` and its `BaseConsumer`, as in its own tests.
//!
//! Batches of 1: one flush after each record would pay a network round trip in turn; several producers flush side by side, as
//! the pipelining that one producer of this library does not have.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use madsim::net::NetSim;
use madsim::runtime::{Handle, Runtime};
use madsim_rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use madsim_rdkafka::consumer::BaseConsumer;
use madsim_rdkafka::producer::{BaseProducer, BaseRecord};
use madsim_rdkafka::{ClientConfig, SimBroker, TopicPartitionList};

use super::{RECORD_BYTES, RECORDS};

/// Requests on their way at a time; Kafka's max.in.flight.requests.per.connection.
const IN_FLIGHT: usize = 5;

pub fn run(batch: usize) -> usize {
    // A fresh thread: madsim keeps its context in statics of the thread.
    std::thread::spawn(move || Runtime::with_seed_and_config(1, madsim::Config::default()).block_on(topic(batch)))
        .join()
        .expect("the simulation ends")
}

async fn topic(batch: usize) -> usize {
    let handle = Handle::current();
    let broker: SocketAddr = "10.0.0.1:50051".parse().expect("an address");
    NetSim::current().add_dns_record("broker", broker.ip());
    let node = handle.create_node().name("broker").ip(broker.ip()).build();
    node.spawn(async move { SimBroker::default().serve(broker).await });
    madsim::time::sleep(Duration::from_secs(1)).await;
    let node = handle.create_node().name("producer").ip("10.0.0.2".parse().expect("an address")).build();
    let done = node.spawn(async move {
        let admin = config().create::<AdminClient<_>>().await.expect("an admin client");
        let topics = [NewTopic::new("topic", 1, TopicReplication::Fixed(1))];
        admin.create_topics(&topics, &AdminOptions::new()).await.expect("a topic");
        let lanes = (0..IN_FLIGHT).map(|lane| madsim::task::spawn(produce(batch, lane)));
        for lane in lanes.collect::<Vec<_>>() {
            lane.await.expect("a lane ends");
        }
    });
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = seen.clone();
    let node = handle.create_node().name("consumer").ip("10.0.0.3".parse().expect("an address")).build();
    let consumed = node.spawn(async move {
        madsim::time::sleep(Duration::from_secs(1)).await;
        let consumer = config().create::<BaseConsumer>().await.expect("a consumer");
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition("topic", 0);
        consumer.assign(&assignment).expect("an assignment");
        while counted.load(Ordering::Relaxed) < RECORDS {
            match consumer.poll(None).await {
                Some(record) => {
                    record.expect("a record");
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                None => madsim::time::sleep(Duration::from_millis(1)).await,
            }
        }
    });
    done.await.expect("the producer ends");
    consumed.await.expect("the consumer ends");
    seen.load(Ordering::Relaxed)
}

/// Every `IN_FLIGHT`-th batch, one after the other.
async fn produce(batch: usize, lane: usize) {
    let producer = config().create::<BaseProducer>().await.expect("a producer");
    let payload = [7u8; RECORD_BYTES];
    for _ in (lane * batch..RECORDS).step_by(batch * IN_FLIGHT) {
        for _ in 0..batch {
            let record = BaseRecord::<(), [u8]>::to("topic").payload(&payload);
            assert!(producer.send(record).is_ok(), "the buffer has room");
        }
        producer.flush(None).await.expect("the batch is accepted");
    }
}

fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", "broker:50051").set("auto.offset.reset", "earliest");
    config
}
