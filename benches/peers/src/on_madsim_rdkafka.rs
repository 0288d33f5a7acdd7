//! On madsim-rdkafka, as its own test does it: send into the buffer, flush, poll.

use std::net::SocketAddr;
use std::time::Duration;

use madsim::net::NetSim;
use madsim::runtime::{Handle, Runtime};
use madsim_rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use madsim_rdkafka::consumer::BaseConsumer;
use madsim_rdkafka::producer::{BaseProducer, BaseRecord};
use madsim_rdkafka::{ClientConfig, SimBroker, TopicPartitionList};

use crate::{RECORD_BYTES, RECORDS};

pub fn run(batch: u64) {
    // A runtime sets the clock and the entropy of its thread, so it has one of its own.
    std::thread::spawn(move || Runtime::with_seed_and_config(1, Default::default()).block_on(work(batch))).join().unwrap();
}

async fn work(batch: u64) {
    let handle = Handle::current();
    let broker: SocketAddr = "10.0.0.1:50051".parse().unwrap();
    NetSim::current().add_dns_record("broker", broker.ip());
    let node = |name: &str, ip: &str| handle.create_node().name(name).ip(ip.parse().unwrap()).build();
    node("broker", "10.0.0.1").spawn(async move { SimBroker::default().serve(broker).await.unwrap() });
    madsim::time::sleep(Duration::from_secs(1)).await;
    let admin = node("admin", "10.0.0.2").spawn(async {
        let admin: AdminClient<_> = client().create().await.unwrap();
        let topic = NewTopic::new("orders", 1, TopicReplication::Fixed(1));
        admin.create_topics(&[topic], &AdminOptions::new()).await.unwrap();
    });
    admin.await.unwrap();
    node("producer", "10.0.0.3").spawn(async move {
        let producer: BaseProducer = client().create().await.unwrap();
        let payload = [7; RECORD_BYTES];
        for number in 0..RECORDS {
            let key = number.to_le_bytes();
            producer.send(BaseRecord::to("orders").key(&key).payload(&payload)).expect("the buffer has room");
            if (number + 1) % batch == 0 {
                producer.flush(None).await.unwrap();
            }
        }
    });
    let consumer = node("consumer", "10.0.0.4").spawn(async {
        let mut config = client();
        config.set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
        let consumer: BaseConsumer = config.create().await.unwrap();
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition("orders", 0);
        consumer.assign(&assignment).unwrap();
        let mut received = 0;
        while received < RECORDS {
            match consumer.poll(None).await {
                Some(message) => received += u64::from(message.is_ok()),
                None => madsim::time::sleep(Duration::from_millis(100)).await,
            }
        }
    });
    consumer.await.unwrap();
}

fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", "broker:50051");
    config
}
