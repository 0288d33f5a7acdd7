//! Units as people write them, right and wrong.

use super::*;

/// What a wrong value is answered with: problem and cure as one line.
fn refusal<T: std::fmt::Debug>(result: Result<T, UnitError>) -> String {
    result.unwrap_err().to_string()
}

fn duration(text: &str) -> Result<Duration, UnitError> {
    text.parse()
}

#[test]
fn durations_are_exact() {
    assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
    assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
    assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
    assert_eq!(duration("1h0.000000001s"), Ok(Duration(3_600_000_000_001)));
    assert_eq!(duration("0.1us"), Ok(Duration(100)));
    assert_eq!(duration("7µs"), Ok(Duration::from_micros(7)));
    assert_eq!(duration("1.10s"), Ok(Duration::from_millis(1100)));
    assert_eq!(duration("0s"), Ok(Duration::ZERO));
}

#[test]
fn wrong_durations_are_told_what_to_write() {
    assert_eq!(refusal(duration("5")), "`5` has no unit; write `5ms` or `5s`");
    assert_eq!(refusal(duration("5 ms")), "`5 ms` has a blank before its unit; write `5ms`");
    assert_eq!(refusal(duration("5mss")), "`mss` is not a unit of time; write `5ms`");
    assert_eq!(refusal(duration("2min")), "`min` is not a unit of time; write `2m`");
    assert_eq!(refusal(duration("2d")), "`d` is not a unit of time; write it in hours: `24h` is a day");
    assert_eq!(refusal(duration("2parsec")), "`parsec` is not a unit of time; write one of ns us ms s m h");
    assert_eq!(refusal(duration("")), "an empty duration; write for example `10ms`");
    assert_eq!(refusal(duration("soon")), "`soon` is not a duration; write for example `250ms`");
    assert_eq!(refusal(duration("-3s")), "`-3s` is negative");
    assert_eq!(refusal(duration("1.s")), "`1.` is not a number");
    assert_eq!(refusal(duration("1.2.3s")), "`1.2.3` is not a number");
    assert_eq!(refusal(duration("0.5ns")), "`0.5ns` is finer than a nanosecond");
    assert_eq!(refusal(duration("30s1m")), "the units of `30s1m` do not go down; write as in `1m30s`");
    assert_eq!(refusal(duration("900000h")), "`900000h` is longer than a hundred years");
    assert_eq!(refusal(duration("9999999999999999999h")), "`9999999999999999999` has too many digits");
}

#[test]
fn durations_read_back_as_printed() {
    for nanos in [0, 1, 999, 1_000, 1_500_000, 90_000_000_000, 3_600_000_000_001, 86_399_999_999_999] {
        let printed = Duration(nanos).to_string();
        assert_eq!(printed.parse(), Ok(Duration(nanos)), "{printed}");
    }
    assert_eq!(Duration::from_millis(90_250).to_string(), "1m30s250ms");
}

#[test]
fn sizes_tell_binary_from_decimal() {
    assert_eq!(parse_size("16KiB"), Ok(ByteCount(16_384)));
    assert_eq!(parse_size("10 MiB"), Ok(ByteCount(10 << 20)));
    assert_eq!(parse_size("1MB"), Ok(ByteCount(1_000_000)));
    assert_eq!(parse_size("1.5KiB"), Ok(ByteCount(1536)));
    assert_eq!(parse_size("0B"), Ok(ByteCount(0)));
    assert_eq!(refusal(parse_size("16")), "`16` has no unit; write `16B` or `16KiB`");
    assert_eq!(refusal(parse_size("16KB")), "`KB` is not a unit of size; write `16KiB` (1024) or `16kB` (1000)");
    assert_eq!(refusal(parse_size("1m")), "`m` is not a unit of size; write `1MiB` (of 1024) or `1MB` (of 1000)");
    assert_eq!(refusal(parse_size("1 loaf")), "`loaf` is not a unit of size; write one of B KiB MiB GiB kB MB GB");
    assert_eq!(refusal(parse_size("0.3KiB")), "`0.3KiB` is not a whole number of bytes");
    assert_eq!(refusal(parse_size("-1B")), "`-1B` is negative");
    assert_eq!(refusal(parse_size("much")), "`much` is not a size; write for example `16KiB`");
    assert_eq!(refusal(parse_size("9000000TiB")), "`9000000TiB` is more than an exbibyte");
}

#[test]
fn sizes_read_back_as_printed() {
    let printed = |bytes| ByteCount(bytes).to_string();
    assert_eq!(printed(0), "0B");
    assert_eq!(printed(16_384), "16KiB");
    assert_eq!(printed(1_000_000), "1MB");
    assert_eq!(printed(1_048_588), "1048588B");
    for bytes in [0, 1, 1000, 1023, 1024, 1_024_000, 1 << 30, 3 << 40, 999_999_999_937] {
        assert_eq!(printed(bytes).parse(), Ok(ByteCount(bytes)), "{}", printed(bytes));
    }
}

#[test]
fn rates_become_the_nearest_mean_interval() {
    assert_eq!(parse_rate("200/s"), Ok(Duration::from_millis(5)));
    assert_eq!(parse_rate("1k/s"), Ok(Duration::from_millis(1)));
    assert_eq!(parse_rate("8/min"), Ok(Duration::from_millis(7500)));
    assert_eq!(parse_rate("5k msg/s"), Ok(Duration::from_micros(200)));
    assert_eq!(parse_rate("1M msg/s"), Ok(Duration::from_micros(1)));
    assert_eq!(parse_rate("12 msg / h"), Ok(Duration::from_secs(300)));
    assert_eq!(parse_rate("0.5/s"), Ok(Duration::from_secs(2)));
    assert_eq!(parse_rate("3/s"), Ok(Duration(333_333_333)));
    assert_eq!(parse_rate("1.5k/s"), Ok(Duration(666_667)));
    assert_eq!(refusal(parse_rate("200")), "`200` is not a rate; write `200/s`");
    assert_eq!(refusal(parse_rate("fast")), "`fast` is not a rate; write for example `200/s`");
    assert_eq!(refusal(parse_rate("5/day")), "`day` is not a period; write `/s`, `/min` or `/h`");
    assert_eq!(
        refusal(parse_rate("5K/s")),
        "`K` does not count anything; write for example `200/s`, `5k/s` or `5k msg/s`"
    );
    assert_eq!(refusal(parse_rate("0/s")), "`0/s` never happens");
    assert_eq!(refusal(parse_rate("5000M/s")), "`5000M/s` is more than one each nanosecond");
}

#[test]
fn bandwidths_are_bytes_per_second() {
    assert_eq!(parse_bandwidth("100 MiB/s"), Ok(ByteCount(100 << 20)));
    assert_eq!(parse_bandwidth("1MB/s"), Ok(ByteCount(1_000_000)));
    assert_eq!(refusal(parse_bandwidth("1MB")), "`1MB` is not a bandwidth; write for example `100 MiB/s`");
    assert_eq!(refusal(parse_bandwidth("1MB/min")), "`1MB/min` is not per second; write `1MB/s`");
    let bits = "`1Gbit/s` counts bits; write it in bytes: `125 MB/s` is 1 Gbit/s";
    assert_eq!(refusal(parse_bandwidth("1Gbit/s")), bits);
    assert_eq!(refusal(parse_bandwidth("0B/s")), "`0B/s` lets nothing through");
}

#[test]
fn factors_are_exact_thousandths() {
    assert_eq!(parse_factor("1.5x"), Ok(1_500));
    assert_eq!(parse_factor("10x"), Ok(10_000));
    assert_eq!(parse_factor("0.001x"), Ok(1));
    assert_eq!(parse_factor("1.2000x"), Ok(1_200));
    assert_eq!(refusal(parse_factor("1.5")), "`1.5` is not a factor; write `1.5x`");
    assert_eq!(refusal(parse_factor("150%")), "`150%` is not a factor; write for example `1.5x`");
    assert_eq!(refusal(parse_factor("1.0001x")), "`1.0001x` is finer than a thousandth");
    assert_eq!(refusal(parse_factor("0x")), "`0x` is zero");
    assert_eq!(refusal(parse_factor("x")), "`` is not a number");
}

#[test]
fn ratios_are_exact() {
    let ratio = |text: &str| text.parse::<Ratio>();
    assert_eq!(ratio("0.5%"), Ok(Ratio(5_000_000)));
    assert_eq!(ratio("0.005"), Ok(Ratio(5_000_000)));
    assert_eq!(ratio("100%"), Ok(Ratio::ONE));
    assert_eq!(ratio("1"), Ok(Ratio::ONE));
    assert_eq!(ratio("0"), Ok(Ratio::ZERO));
    // 0.29 * 1e9 is 289999999.99999997 as a float.
    assert_eq!(ratio("0.29"), Ok(Ratio(290_000_000)));
    assert_eq!(ratio("0.0000001%"), Ok(Ratio(1)));
    assert_eq!(refusal(ratio("0.00000001%")), "`0.00000001%` is finer than one in a billion");
    assert_eq!(refusal(ratio("5")), "`5` is not between 0% and 100%; write `5%`");
    assert_eq!(refusal(ratio("101%")), "`101%` is not between 0% and 100%");
    assert_eq!(refusal(ratio("-1%")), "`-1%` is negative");
    assert_eq!(refusal(ratio("10ms")), "`10ms` is not a share; write for example `0.5%`");
    assert_eq!(refusal(ratio("1.5x")), "`1.5x` is a factor, not a share; write for example `0.5%`");
}

#[test]
fn ratios_read_back_as_printed() {
    for (parts, text) in [(0, "0%"), (1, "0.0000001%"), (5_000_000, "0.5%"), (123_456_789, "12.3456789%")] {
        assert_eq!(Ratio(parts).to_string(), text);
        assert_eq!(text.parse(), Ok(Ratio(parts)));
    }
    assert_eq!(Ratio::ONE.to_string(), "100%");
}

#[test]
fn spreads_read_back_as_printed() {
    let ms = Duration::from_millis;
    let spreads = [
        ("5ms", Spread::Constant(ms(5))),
        ("2ms..20ms", Spread::Uniform { low: ms(2), high: ms(20) }),
        ("5ms ±2ms", Spread::Normal { mean: ms(5), deviation: ms(2) }),
        ("exp 5ms", Spread::Exponential { mean: ms(5) }),
        ("lognormal 5ms p99 30ms", Spread::LogNormal { median: ms(5), p99: ms(30) }),
        ("5ms or 1% 500ms", Spread::TwoPoint { usual: ms(5), ratio: Ratio(10_000_000), rare: ms(500) }),
    ];
    for (text, spread) in spreads {
        assert_eq!(text.parse(), Ok(spread));
        assert_eq!(spread.to_string(), text);
        let json = serde_json::to_string(&spread).unwrap();
        assert_eq!(json, format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<Spread>(&json).unwrap(), spread);
    }
}

#[test]
fn wrong_spreads_are_told_what_to_write() {
    let spread = |text: &str| text.parse::<Spread>();
    let cases = [
        ("20ms..2ms", "`20ms..2ms` ends before it begins; write `2ms..20ms`"),
        ("2ms .. 20ms", "`2ms .. 20ms` is not a spread of a duration; write `2ms..20ms`"),
        ("5ms +- 2ms", "`5ms +- 2ms` is not a spread of a duration; write `5ms ±2ms`"),
        ("5 ms", "`5 ms` is not a spread of a duration; write `5ms`"),
        ("2..20ms", "`2` has no unit; write `2ms` or `2s`"),
        ("lognormal 5ms p99 1ms", "`lognormal 5ms p99 1ms`: the p99 lies below the median, or the median is zero"),
        ("5ms or 1x 2s", "`1x` is a factor, not a share; write for example `0.5%`"),
        ("", "`` is not a spread of a duration; write for example `2ms..20ms`, `5ms ±2ms` or `exp 5ms`"),
    ];
    for (text, message) in cases {
        assert_eq!(refusal(spread(text)), message);
    }
}

#[test]
fn means_of_spreads() {
    let mean = |text: &str| text.parse::<Spread>().unwrap().mean();
    assert_eq!(mean("2ms..20ms"), Duration::from_millis(11));
    assert_eq!(mean("exp 5ms"), Duration::from_millis(5));
    assert_eq!(mean("10ms or 50% 20ms"), Duration::from_millis(15));
    // exp(sigma² / 2) with sigma = ln 6 / 2.3263 = 0.77021.
    assert_eq!(mean("lognormal 5ms p99 30ms").as_millis(), 6);
    assert_eq!(mean("1ns..2ns"), Duration(1));
}

#[test]
fn sizes_are_text_in_a_plan() {
    assert_eq!(serde_json::to_string(&ByteCount(16 << 10)).unwrap(), "\"16KiB\"");
    assert_eq!(serde_json::from_str::<ByteCount>("\"10 MiB\"").unwrap(), ByteCount(10 << 20));
    let message = serde_json::from_str::<ByteCount>("\"16KB\"").unwrap_err().to_string();
    assert!(message.starts_with("`KB` is not a unit of size"), "{message}");
}
