//! Where the exports lie among everything that was listed, and what each file is to them.

use std::collections::{BTreeMap, BTreeSet};

use super::layout::{self, Role, Sign};

/// The roots of the exports in each source, and whether an export is of the first generation.
#[derive(Default)]
pub(super) struct Roots<'a>(BTreeMap<&'a str, BTreeMap<&'a str, bool>>);

impl<'a> Roots<'a> {
    /// Finds them by the sources and paths of everything that was listed.
    pub(super) fn of(places: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Self {
        // Index and media tell G1 together, in whichever parts of it they are; of later ones a sure sign tells what
        // else may be of it.
        let (mut told, mut media, mut indexes) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut sure = BTreeSet::new();
        for (source, path) in places.clone() {
            for (root, inside) in splits(path) {
                match layout::first_folder(inside) {
                    Some(folder) if layout::first_tells(folder) => _ = told.insert(root),
                    Some(_) => _ = media.insert(root),
                    None if inside == layout::FIRST_INDEX => _ = indexes.insert(root),
                    None => {}
                }
                let sign = layout::sign(inside);
                let name = root.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty());
                if sign == Some(Sign::Sure) || (sign.is_some() && layout::is_exports_name(name.unwrap_or(source))) {
                    sure.insert(root);
                }
            }
        }
        told.extend(media.intersection(&indexes));
        let mut roots = Self::default();
        for (source, path) in places {
            for (root, inside) in splits(path) {
                let of_first = inside == layout::FIRST_INDEX || layout::first_folder(inside).is_some();
                let first = of_first && told.contains(root);
                if first || (sure.contains(root) && layout::sign(inside).is_some()) {
                    *roots.0.entry(source).or_default().entry(root).or_default() |= first;
                    // An export's own folders are no exports: `your_instagram_activity/messages/inbox/`.
                    if !matches!(layout::role(inside, first), Role::Foreign | Role::Media(_))
                        || inside.starts_with("your_instagram_activity/")
                    {
                        break;
                    }
                }
            }
        }
        roots
    }

    /// The export that a file belongs to, by the length of its root, and what the file is to it. What
    /// any export around it keeps private is private; otherwise the outermost that knows it counts: a
    /// `media/stories/202401/` is no export of the first generation.
    pub(super) fn place(&self, source: &str, path: &str) -> Option<(usize, Role)> {
        let roots = self.0.get(source)?;
        let mut found = None;
        for (root, inside) in splits(path) {
            let Some(&first) = roots.get(root) else { continue };
            match layout::role(inside, first) {
                Role::Foreign => {}
                Role::Private => return Some((root.len(), Role::Private)),
                // An index of an export within it is a text to the one around it.
                role if found.is_none_or(|(_, known)| known == Role::Text) => found = Some((root.len(), role)),
                _ => {}
            }
        }
        found
    }
}

/// A path cut before each of its components: what may be a root, and the path under it.
fn splits(path: &str) -> impl Iterator<Item = (&str, &str)> {
    std::iter::once(0).chain(path.match_indices('/').map(|(at, _)| at + 1)).map(|at| path.split_at(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Kind;

    fn roles(places: &[(&'static str, &'static str)]) -> Vec<Option<Role>> {
        let roots = Roots::of(places.iter().copied());
        places.iter().map(|(source, path)| roots.place(source, path).map(|(_, role)| role)).collect()
    }

    #[test]
    fn roots_are_found_wherever_they_lie() {
        let place = |path| Roots::of([("s", path)].into_iter()).place("s", path);
        assert_eq!(place("2024/me/media/stories/202401/x.jpg"), Some((8, Role::Media(Kind::Story))));
        assert_eq!(place("me/your_instagram_activity/messages/inbox/media/posts/x.jpg"), Some((3, Role::Private)));
        assert_eq!(place("multimedia/posts/x.jpg"), None);
        assert_eq!(place("photos/201901/x.jpg"), None);
        assert_eq!(place("direct/201901/x.jpg"), Some((0, Role::Private)));
    }

    #[test]
    fn the_first_generation_is_told_across_its_parts() {
        let places = [
            ("1", "media.json"),
            ("2", "photos/201901/x.jpg"),
            ("3", "profile/201901/x.jpg"),
            ("3", "holiday.jpg"),
            ("4", "elsewhere/photos/201901/x.jpg"),
        ];
        let (post, profile) = (Role::Media(Kind::Post), Role::Media(Kind::Profile));
        let index = Role::Index(layout::Index::First);
        assert_eq!(roles(&places), [Some(index), Some(post), Some(profile), None, None]);
    }

    #[test]
    fn an_export_within_another_keeps_its_own_roles_and_both_their_privacy() {
        let places = [
            ("s", "media/posts/a.jpg"),
            ("s", "2023/media/stories/b.jpg"),
            ("s", "2023/content/posts_1.json"),
            ("s", "2023/messages/inbox/friend/photos/c.jpg"),
            ("s", "2023/logged_information/d.jpg"),
            ("s", "messages/inbox/friend/media/posts/e.jpg"),
            ("s", "2023/f.jpg"),
            ("t", "your_instagram_activity/messages/inbox/friend/g.jpg"),
            ("t", "your_instagram_activity/media/posts_1.json"),
            ("t", "your_instagram_activity/content/posts_1.json"),
        ];
        let (post, story) = (Role::Media(Kind::Post), Role::Media(Kind::Story));
        let index = Role::Index(layout::Index::Posts { kind: Kind::Post, labelled: false });
        let private = Some(Role::Private);
        assert_eq!(
            roles(&places),
            [Some(post), Some(story), Some(index), private, private, private, None, private, Some(index), Some(index)]
        );
        let roots = Roots::of(places.into_iter());
        assert_eq!(roots.place("t", "your_instagram_activity/content/posts_1.json").unwrap().0, 0);
    }
}
