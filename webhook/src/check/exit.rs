//! The exit status of the process.

/// The exit status of `plimsoll check`. Scripts rely on the numbers, so they never change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum ExitStatus {
    /// The cluster would admit everything.
    Ok = 0,
    /// In mode `enforce` the cluster would deny an object, or findings reach `--fail-on` or `--max-warnings`.
    Denied = 1,
    /// The command line or the configuration is wrong, or a result could not be written.
    Usage = 2,
    /// The input contains no Kubernetes object, which is usually a mistake (`--allow-empty`).
    Empty = 3,
    /// A part of the input could not be read, so the cluster's verdict on it is unknown.
    Unparsable = 4,
    /// A policy failed, so its findings are unknown.
    PolicyFailed = 5,
}

impl ExitStatus {
    /// The status as a number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The most important of several statuses. A status that makes others meaningless comes first.
    pub fn first_of(statuses: impl IntoIterator<Item = ExitStatus>) -> Self {
        const ORDER: [ExitStatus; 5] = [
            ExitStatus::Usage,
            ExitStatus::PolicyFailed,
            ExitStatus::Unparsable,
            ExitStatus::Denied,
            ExitStatus::Empty,
        ];
        let statuses: Vec<ExitStatus> = statuses.into_iter().collect();
        ORDER.into_iter().find(|status| statuses.contains(status)).unwrap_or(ExitStatus::Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::ExitStatus::{Denied, Empty, Ok, PolicyFailed, Unparsable, Usage};
    use super::*;

    #[test]
    fn the_order_where_several_apply() {
        let order = [Usage, PolicyFailed, Unparsable, Denied, Empty, Ok];
        for (index, first) in order.into_iter().enumerate() {
            assert_eq!(ExitStatus::first_of(order[index..].iter().rev().copied()), first);
        }
        assert_eq!(ExitStatus::first_of([]), Ok);
        assert_eq!([Ok, Denied, Usage, Empty, Unparsable, PolicyFailed].map(ExitStatus::code), [0, 1, 2, 3, 4, 5]);
    }
}
