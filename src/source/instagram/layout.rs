//! Where each generation of the export keeps what, as data. A new generation is a row or two here
//! and, if its entries have a shape of their own, a reader beside [`super::posts`].
//!
//! | | since | index | media |
//! |---|---|---|---|
//! | G1 | 2018 | `media.json` | `photos/YYYYMM/`, `videos/`, `stories/`, `profile/` |
//! | G2 | 2021 | `content/posts_1.json`, … | `media/posts/YYYYMM/`, … |
//! | G3 | 2024 | `your_instagram_activity/content/posts_1.json`, … | as G2 |
//! | G4 | 2024 | `your_instagram_activity/media/posts_1.json`, … | as G2, and `media/profile/`, `media/reels/` |
//! | G5 | 2025 | beside G4: `your_instagram_activity/media/posts.json` | as G4, and `public-media/` with the same |
//! | G6 | 2025 | `your_instagram_activity/posts/media/posts_1.json`, or none | also `your_instagram_activity/posts/media/your_posts/` |
//!
//! Meta rolls them out account by account, so all of them are known at once and none is assumed.

use crate::config::Kind;

/// What indexes of G2 and later are called without number, copy's number and suffix, and what they list.
const INDEXES: [(&str, Kind); 12] = [
    ("posts", Kind::Post),
    ("your_posts", Kind::Post),
    ("stories", Kind::Story),
    ("reels", Kind::Reel),
    ("igtv_videos", Kind::Reel),
    ("archived_posts", Kind::Archived),
    ("archived_stories", Kind::Archived),
    ("recently_deleted_content", Kind::Archived),
    ("recently_deleted_media", Kind::Archived),
    ("profile_photos", Kind::Profile),
    ("other_content", Kind::Other),
    ("other_media", Kind::Other),
];

/// Where indexes and pictures of G2 and later lie, at whatever depth: of the account's activity, of its media (with a
/// twin of what is public) and of what G2 called content.
const AREAS: [&str; 5] = ["your_instagram_activity", "media", "public-media", "public_media", "content"];

/// Folders of pictures (also with `your_` before the name), and what is in them when no index says so.
const FOLDERS: [(&str, Kind); 13] = [
    ("posts", Kind::Post),
    ("stories", Kind::Story),
    ("highlights", Kind::Story),
    ("reels", Kind::Reel),
    ("igtv", Kind::Reel),
    ("archived_posts", Kind::Archived),
    ("archived_stories", Kind::Archived),
    ("archived", Kind::Archived),
    ("recently_deleted", Kind::Archived),
    ("recently_deleted_content", Kind::Archived),
    ("profile", Kind::Profile),
    ("profile_photos", Kind::Profile),
    ("other", Kind::Other),
];

/// Those that only an export has, under `media/`; of the others' names other people think too.
const RARE: [&str; 3] = ["archived_posts", "igtv", "recently_deleted"];
/// Those that an export has, and a website may have.
const COMMON: [&str; 3] = ["posts", "stories", "reels"];

/// The lists of G1's index, which are also its folders.
const FIRST_LISTS: [(&str, Kind); 4] =
    [("photos", Kind::Post), ("videos", Kind::Post), ("stories", Kind::Story), ("profile", Kind::Profile)];

/// Never looked into, at an export's root or in its areas: what it holds of other people and of the account.
const PRIVATE: [&str; 19] = [
    "messages",
    "threads",
    "direct",
    "saved",
    "likes",
    "comments",
    "story_interactions",
    "story_sticker_interactions",
    "subscriptions",
    "logged_information",
    "personal_information",
    "past_instagram_insights",
    "ads_information",
    "ads_and_businesses",
    "apps_and_websites_off_of_instagram",
    "connections",
    "preferences",
    "security_and_login_information",
    "reposts",
];
/// At an export's root: the site's own logos.
const LOGOS: &str = "files";
/// At an export's root these may be anybody's; within its areas they are what others made.
const OF_OTHERS: [&str; 4] = ["saved", "likes", "comments", "subscriptions"];

/// Where messages lie, which tell an export by themselves.
const MAILBOXES: [&str; 4] = ["inbox", "message_requests", "archived_threads", "filtered_threads"];

/// What a file is to an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Lists pictures.
    Index(Index),
    /// A picture or film, of this kind unless an index says otherwise.
    Media(Kind),
    /// In a folder that is never looked into.
    Private,
    /// A text of the export that lists no pictures: not to be opened either.
    Text,
    /// Not of the export; it merely lies there.
    Foreign,
}

/// How an index is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Index {
    /// Of G2 and later: posts or single pictures, all of one kind. G5's come after those they
    /// complete.
    Posts {
        /// What it lists.
        kind: Kind,
        /// G5: with labels for what the others have fields for.
        labelled: bool,
    },
    /// Of G1: a list for each kind.
    First,
}

/// How surely a file's path under what may be a root tells that this is an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// Nothing else has such a path.
    Sure,
    /// A website may have it too: something else has to tell the export.
    Perhaps,
}

/// What the path of a file under what may be a root tells.
pub(super) fn sign(inside: &str) -> Option<Sign> {
    let mut parts = inside.split('/');
    let (top, next, third) = (parts.next()?, parts.next()?, parts.next());
    match top {
        "your_instagram_activity" => Some(Sign::Sure),
        // What lies in that folder, where it is the source itself.
        _ if next == "media" && third.is_some_and(|third| third.starts_with("your_")) => {
            kind_of_folder(top).map(|_| Sign::Sure)
        }
        "messages" => (third.is_some() && MAILBOXES.contains(&next)).then_some(Sign::Sure),
        "content" => match index_kind(next.strip_suffix(".json").or_else(|| next.strip_suffix(".html"))?)? {
            // Generators of websites know posts, stories and reels, but no numbers.
            Kind::Post | Kind::Story | Kind::Reel | Kind::Other if !next.contains('_') => Some(Sign::Perhaps),
            _ => Some(Sign::Sure),
        },
        "media" | "public-media" => {
            let third = third?;
            // A month's folder, or a picture called by its number on the site.
            let digits = third.split(['.', '_']).next().filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
            let numbered = digits.is_some_and(|digits| digits.len() >= 12);
            match is_month(third) || numbered || top != "media" {
                true if COMMON.contains(&next) => Some(Sign::Sure),
                _ if RARE.contains(&next) => Some(Sign::Sure),
                _ => COMMON.contains(&next).then_some(Sign::Perhaps),
            }
        }
        _ => None,
    }
}

/// Whether a folder or a source is called as Instagram calls its exports: `instagram-me-2024-01-31-AbCd`.
pub(in crate::source) fn is_exports_name(name: &str) -> bool {
    name.strip_prefix("instagram-").is_some_and(|rest| rest.contains('-'))
}

fn is_month(folder: &str) -> bool {
    folder.len() == 6 && folder.bytes().all(|b| b.is_ascii_digit())
}

/// Which list of G1 `inside` is in, a path under the root: `photos` of `photos/201903/…`.
pub(super) fn first_folder(inside: &str) -> Option<&str> {
    let (folder, rest) = inside.split_once('/')?;
    let (month, _) = rest.split_once('/')?;
    let known = folder == "direct" || first_list(folder).is_some();
    (known && is_month(month)).then_some(folder)
}

/// Whether a list of G1 tells an export: others sort their photos by month too.
pub(super) fn first_tells(folder: &str) -> bool {
    matches!(folder, "direct" | "stories")
}

pub(in crate::source) const FIRST_INDEX: &str = "media.json";

/// What the file at `inside` (a path under the root) is; `first` says that the export is of G1.
pub(super) fn role(inside: &str, first: bool) -> Role {
    if let Some(index) = modern_index(inside) {
        return Role::Index(index);
    }
    if first && inside == FIRST_INDEX {
        return Role::Index(Index::First);
    }
    if private_folder(inside).is_some() {
        return Role::Private;
    }
    if inside.ends_with(".json") || inside.ends_with(".html") {
        return Role::Text;
    }
    let folders: Vec<&str> = inside.split('/').rev().skip(1).collect();
    match folders.last() {
        Some(&"content") | None => Role::Foreign,
        Some(_) if is_area(folders.iter().rev().copied()) => Role::Media(kind_of_folders(&folders)),
        Some(top) if first => first_list(top).map_or(Role::Foreign, Role::Media),
        Some(_) => Role::Foreign,
    }
}

/// The folder of a path under the root that is never looked into, if the path leads through one.
pub(super) fn private_folder(inside: &str) -> Option<&'static str> {
    let (folders, _) = inside.rsplit_once('/')?;
    let mut folders = folders.split('/');
    let top = folders.next()?;
    let private = |folder: &str| PRIVATE.into_iter().find(|name| *name == folder);
    match top {
        LOGOS => Some(LOGOS),
        top if is_area(std::iter::once(top).chain(folders.clone())) => folders.find_map(private),
        top => private(top).filter(|name| !OF_OTHERS.contains(name)),
    }
}

/// Whether folders, given from the root, are in an area of the export's own: also in `posts/media/`, of an activity that
/// is the source itself.
fn is_area<'a>(mut folders: impl Iterator<Item = &'a str>) -> bool {
    let top = folders.next().unwrap_or_default();
    AREAS.contains(&top) || (kind_of_folder(top).is_some() && folders.next() == Some("media"))
}

/// What lies in a folder of this name.
fn kind_of_folder(folder: &str) -> Option<Kind> {
    let name = folder.strip_prefix("your_").unwrap_or(folder);
    FOLDERS.iter().find(|(known, _)| *known == name).map(|&(_, kind)| kind)
}

/// What lies in folders, given from the innermost: archived is archived, wherever that stands.
fn kind_of_folders(folders: &[&str]) -> Kind {
    let kinds = || folders.iter().filter_map(|folder| kind_of_folder(folder));
    kinds().find(|kind| *kind == Kind::Archived).or_else(|| kinds().next()).unwrap_or(Kind::Other)
}

/// What a list of G1's index holds.
pub(super) fn first_list(name: &str) -> Option<Kind> {
    FIRST_LISTS.iter().find(|(list, _)| *list == name).map(|&(_, kind)| kind)
}

/// Which index of G2 or later this is, if it is one: by its name, in an area or at the root, and not in what is private.
fn modern_index(inside: &str) -> Option<Index> {
    let (folder, name) = inside.rsplit_once('/').unwrap_or(("", inside));
    let top = folder.split('/').next().unwrap_or_default();
    let stem = name.strip_suffix(".json")?;
    // Threads keeps its pictures among the posts' own: its list tells them apart, and is all that is read of it.
    if folder.rsplit('/').next() == Some("threads") && matches!(top, "threads" | "your_instagram_activity") {
        return stem.starts_with("threads").then_some(Index::Posts { kind: Kind::Threads, labelled: false });
    }
    let is_place = top.is_empty() || AREAS.contains(&top) || kind_of_folder(top).is_some();
    let in_private = || folder.split('/').any(|folder| PRIVATE.contains(&folder));
    if !is_place || in_private() {
        return None;
    }
    let kind = index_kind(stem)?;
    let numbered = without_number(without_copy(stem)).1.is_some();
    Some(Index::Posts { kind, labelled: kind == Kind::Post && !numbered })
}

/// What an index of this name lists.
fn index_kind(stem: &str) -> Option<Kind> {
    let (base, _) = without_number(without_copy(stem));
    INDEXES.iter().find(|(name, _)| *name == base).map(|&(_, kind)| kind)
}

/// `posts_1` of `posts_1 (1)`, as browsers and systems call what is there already.
fn without_copy(stem: &str) -> &str {
    let copy = stem.strip_suffix(')').and_then(|rest| rest.rsplit_once('('));
    let copy = copy.filter(|(_, number)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
    copy.map_or(stem, |(before, _)| before.trim_end())
}

/// `posts` and `1` of `posts_1`.
fn without_number(stem: &str) -> (&str, Option<&str>) {
    match stem.rsplit_once('_') {
        Some((base, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => {
            (base, Some(number))
        }
        _ => (stem, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn index(kind: Kind, labelled: bool) -> Role {
        Role::Index(Index::Posts { kind, labelled })
    }

    #[test]
    fn an_index_is_told_by_its_name_wherever_it_lies() {
        for (inside, expected) in [
            ("content/posts_1.json", index(Kind::Post, false)),
            ("posts_1.json", index(Kind::Post, false)),
            ("your_instagram_activity/content/posts_12.json", index(Kind::Post, false)),
            ("your_instagram_activity/media/posts_1.json", index(Kind::Post, false)),
            ("your_instagram_activity/media/posts_1 (1).json", index(Kind::Post, false)),
            ("your_instagram_activity/posts/posts_1(2).json", index(Kind::Post, false)),
            ("your_instagram_activity/posts/media/posts_1.json", index(Kind::Post, false)),
            ("your_instagram_activity/media/posts.json", index(Kind::Post, true)),
            ("your_instagram_activity/media/stories.json", index(Kind::Story, false)),
            ("your_instagram_activity/stories/media/archived_posts.json", index(Kind::Archived, false)),
            ("your_instagram_activity/threads/threads_and_replies.json", index(Kind::Threads, false)),
            ("threads/threads_and_replies_1.json", index(Kind::Threads, false)),
            ("logged_information/past_instagram_insights/posts.json", Role::Private),
            ("your_instagram_activity/messages/inbox/posts_1.json", Role::Private),
            ("your_instagram_activity/saved/posts_1.json", Role::Private),
            ("your_instagram_activity/likes/posts.json", Role::Private),
            ("your_instagram_activity/threads/posts_1.json", Role::Private),
            ("your_instagram_activity/media/posts_1.html", Role::Text),
            ("posts.json", index(Kind::Post, true)),
            ("posts/media/posts_1.json", index(Kind::Post, false)),
            ("posts/saved/posts_1.json", Role::Text),
            ("holiday/posts_1.json", Role::Text),
        ] {
            assert_eq!(role(inside, false), expected, "{inside}");
        }
    }

    #[test]
    fn pictures_are_told_by_their_folders() {
        for (inside, expected) in [
            ("media/posts/x.jpg", Role::Media(Kind::Post)),
            ("media/archived_posts/202401/x.jpg", Role::Media(Kind::Archived)),
            ("media/new_in_2027/x.jpg", Role::Media(Kind::Other)),
            ("public-media/reels/202401/x.jpg", Role::Media(Kind::Reel)),
            ("your_instagram_activity/posts/media/your_posts/1.png", Role::Media(Kind::Post)),
            ("your_instagram_activity/stories/media/your_stories/1.png", Role::Media(Kind::Story)),
            ("your_instagram_activity/posts/media/your_archived_posts/1.png", Role::Media(Kind::Archived)),
            ("your_instagram_activity/archived_posts/media/your_posts/1.png", Role::Media(Kind::Archived)),
            ("stories/media/your_stories/1.png", Role::Media(Kind::Story)),
            ("stories/1.png", Role::Foreign),
            ("your_instagram_activity/new/1.png", Role::Media(Kind::Other)),
            ("your_instagram_activity/threads/x.jpg", Role::Private),
            ("messages/inbox/a_1/photos/x.jpg", Role::Private),
            ("direct/201901/x.jpg", Role::Private),
            ("files/x.png", Role::Private),
            ("saved/x.jpg", Role::Foreign),
            ("photos/201901/x.jpg", Role::Foreign),
            ("holiday.jpg", Role::Foreign),
        ] {
            assert_eq!(role(inside, false), expected, "{inside}");
        }
        assert_eq!(role("media.json", true), Role::Index(Index::First));
        assert_eq!(role("media.json", false), Role::Text);
        assert_eq!(role("start_here.html", false), Role::Text);
        assert_eq!(role("stories/201901/x.jpg", true), Role::Media(Kind::Story));
    }

    #[test]
    fn an_export_is_told_by_its_folders() {
        for inside in [
            "media/posts/202401/x.jpg",
            "media/posts/17900000000000.jpg",
            "media/stories/17900000000000_1_n.webp",
            "media/archived_posts/x.jpg",
            "public-media/posts/x.jpg",
            "your_instagram_activity/x",
            "content/posts_1.json",
            "content/posts_1.html",
            "posts/media/your_posts/1.png",
            "messages/inbox/a_1/photos/x.jpg",
            "messages/message_requests/a_1/photos/x.jpg",
        ] {
            assert_eq!(sign(inside), Some(Sign::Sure), "{inside}");
        }
        for inside in ["media/posts/x.jpg", "media/posts/hero/x.jpg", "content/posts.json"] {
            assert_eq!(sign(inside), Some(Sign::Perhaps), "{inside}");
        }
        for inside in
            ["content/readme.json", "multimedia/posts/x.jpg", "media/profile/x.jpg", "messages/x.jpg", "media/posts"]
        {
            assert_eq!(sign(inside), None, "{inside}");
        }
        assert_eq!(first_folder("photos/201901/x.jpg"), Some("photos"));
        assert_eq!(first_folder("direct/201901/x.jpg"), Some("direct"));
        for inside in ["photos/summer/x.jpg", "photos/201901", "me/photos/201901/x.jpg"] {
            assert_eq!(first_folder(inside), None, "{inside}");
        }
    }
}
