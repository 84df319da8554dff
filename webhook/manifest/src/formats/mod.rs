//! Forms of texts: names, labels, quantities, addresses, schedules.
