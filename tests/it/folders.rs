//! Folders as they are: what systems, photo libraries and other programs leave in the midst of the pictures.

use tsne_grid::artifact::Reason;

use crate::driver::{Story, picture, png, zip_of};

const RUN: &str = "embed --model scattering";

fn paths(story: &Story) -> Vec<String> {
    story.images().into_iter().map(|row| row.path).collect()
}

fn skipped(story: &Story) -> Vec<(String, Reason)> {
    story.skipped().into_iter().map(|row| (row.path, row.reason)).collect()
}

const SYSTEM: [(&str, &str); 7] = [
    ("@eaDir/1.png/SYNOPHOTO_THUMB_XL.png", "@eaDir"),
    ("2024/@eaDir/2.png/SYNOPHOTO_THUMB_SM.png", "2024/@eaDir"),
    ("#recycle/deleted.png", "#recycle"),
    ("$Recycle.Bin/S-1-5/$RABC.png", "$Recycle.Bin"),
    ("lost+found/#123.png", "lost+found"),
    ("Mine.photoslibrary/resources/derivatives/A.png", "Mine.photoslibrary/resources"),
    ("old.photolibrary/Thumbnails/2012/B.png", "old.photolibrary/Thumbnails"),
];
const OWN: [&str; 4] =
    ["1.png", "2024/2.png", "Mine.photoslibrary/originals/0/A.png", "old.photolibrary/Masters/2012/B.png"];

#[test]
fn what_systems_keep_for_themselves_is_a_line_a_folder() {
    let story = Story::new();
    let mut files = Vec::new();
    for (i, path) in OWN.into_iter().chain(SYSTEM.map(|(path, _)| path)).enumerate() {
        files.push((path, png(&picture(i as u32))));
    }
    files.push(("@eaDir/1.png/SYNOINDEX_MEDIA_INFO", b"x".to_vec()));
    for (path, bytes) in &files {
        story.put(&format!("in/{path}"), bytes);
    }
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (*path, bytes.as_slice())).collect();
    story.put("in.zip", &zip_of(&files));
    let mut folders: Vec<(String, Reason)> =
        SYSTEM.map(|(_, folder)| (folder.to_owned(), Reason::NotSelected)).to_vec();
    folders.sort();
    for source in ["in", "in.zip"] {
        let counts = story.json(&format!("{RUN} {source}"))["counts"].clone();
        assert_eq!((&counts["inputs"], &counts["defective"]), (&11.into(), &0.into()), "{source}");
        assert_eq!(paths(&story), OWN, "{source}");
        assert_eq!(skipped(&story), folders, "{source}");
        let detail = story.skipped().into_iter().find(|row| row.path == "@eaDir").unwrap().detail;
        assert_eq!(
            detail,
            "thumbnails of a Synology (2 files); name the folder as a source of its own to have it read"
        );
    }
    // Whoever names one means it.
    story.ok(&format!("{RUN} in/#recycle"));
    assert_eq!(paths(&story), ["deleted.png"]);
    story.ok(&format!("{RUN} in/Mine.photoslibrary"));
    assert_eq!(paths(&story), ["originals/0/A.png"]);
}

#[test]
fn a_mere_name_excludes_the_folders_of_that_name_and_what_fits_nothing_is_said() {
    let story = Story::new();
    for (i, path) in ["1.png", "raw/2.png", "2024/raw/deep/3.png", "2024/rawer/4.png", "2024/5.png"].iter().enumerate()
    {
        story.put(&format!("in/{path}"), &png(&picture(i as u32)));
    }
    let ran = story.run(&format!("{RUN} in --exclude raw"));
    assert!(ran.code == 0 && !ran.stderr.contains("fits nothing"), "{}", ran.stderr);
    assert_eq!(paths(&story), ["1.png", "2024/5.png", "2024/rawer/4.png"]);
    story.ok(&format!("{RUN} in --include 2024/ --exclude 5.png"));
    assert_eq!(paths(&story), ["2024/raw/deep/3.png", "2024/rawer/4.png"]);
    let ran = story.run(&format!("{RUN} in --exclude Raw --exclude *.tiff --exclude 1.png --include **/*.png"));
    let said: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("nothing that is here")).collect();
    assert!(said.len() == 1 && said[0].contains("source.exclude `Raw`, source.exclude `*.tiff` fit"), "{}", ran.stderr);
}

#[test]
fn messages_outside_of_a_known_export_are_a_line_and_are_not_opened() {
    let story = Story::new();
    for (i, path) in [
        "fb/your_facebook_activity/messages/e2ee_cutover/friend_1/photos/1.png",
        "fb/your_facebook_activity/posts/media/2.png",
        "fb/old/messages/friend_2/photos/3.png",
        "fb/old/messages/photos/4.png",
        "fb/messages/5.png",
    ]
    .iter()
    .enumerate()
    {
        story.put(path, &png(&picture(i as u32)));
    }
    let thread = br#"{"participants": [{"name": "A"}], "messages": [{"sender_name": "A", "content": "hello"}]}"#;
    story.put("fb/old/messages/friend_2/message_1.json", thread);
    story.ok(&format!("{RUN} --strict fb"));
    assert_eq!(paths(&story), ["messages/5.png", "your_facebook_activity/posts/media/2.png"]);
    let folders = ["old/messages", "your_facebook_activity/messages"];
    assert_eq!(skipped(&story), folders.map(|folder| (folder.to_owned(), Reason::NotSelected)));
    assert_eq!(story.skipped()[0].detail, "messages (3 files), which are never opened");
}
