//! The policies built into Plimsoll: one file each, one line each here, in the order of the catalogue.

plimsoll_sdk::bundle![
    latest_image_tag,
];
