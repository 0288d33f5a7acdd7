//! A service as its team would write it: orders come in from a queue, invoices go out to a database.

use std::time::Duration;

use hikyaku::{Context, Result};

/// The invoice is written, then the offset is committed: a crash in between repeats the work, and the row takes it.
pub async fn bill(context: Context) -> Result {
    let (consumer, db) = (context.consumer(), context.store("db"));
    loop {
        for record in consumer.poll(Duration::from_millis(500)).await? {
            db.insert_if_absent("invoices", &record).await?;
        }
        consumer.commit_sync().await?;
    }
}

/// The same with its two halves exchanged: a crash in between loses what was polled.
pub async fn bill_hastily(context: Context) -> Result {
    let (consumer, db) = (context.consumer(), context.store("db"));
    loop {
        let records = consumer.poll(Duration::from_millis(500)).await?;
        consumer.commit_sync().await?;
        for record in records {
            db.insert_if_absent("invoices", &record).await?;
        }
    }
}
