//! Tables of other programs next to pictures: names of columns, formats of dates and names, and columns that have no
//! meaning here.

use tsne_grid::artifact::SkipReason;
use tsne_grid::artifact::rows::{FieldRow, ImageRow};

use crate::sandbox::{Sandbox, picture, png};

const RUN: &str = "embed --model scattering --strict in";

fn with(pictures: &[&str], tables: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::new();
    for (i, path) in pictures.iter().enumerate() {
        sandbox.put(&format!("in/{path}"), &png(&picture(i as u32)));
    }
    for (name, text) in tables {
        sandbox.put(&format!("in/{name}"), text.as_bytes());
    }
    sandbox
}

/// Path, caption, and time with its precision.
fn known(sandbox: &Sandbox) -> Vec<String> {
    let time = |row: &ImageRow| {
        let seconds = row.taken_at.map(|time| time.seconds().to_string()).unwrap_or_default();
        let precision = row.taken_precision.map(|precision| precision.to_string()).unwrap_or_default();
        format!("{seconds} {precision}").trim().to_owned()
    };
    let row = |row: &ImageRow| format!("{}|{}|{}", row.path, row.caption.as_deref().unwrap_or_default(), time(row));
    sandbox.images().iter().map(row).collect()
}

#[test]
fn tables_of_other_programs_are_understood() {
    let hugging_face = "{\"file_name\": \"a.png\", \"text\": \"one\", \"label\": 3}\n\n{\"file_name\": \"b.png\", \"text\": \"two\"}\n";
    let sandbox = with(&["a.png", "b.png"], &[("metadata.jsonl", hugging_face)]);
    sandbox.ok(RUN);
    assert_eq!(known(&sandbox), ["a.png|one|", "b.png|two|"]);
    assert_eq!(sandbox.fields(), ["a.png|label|3"]);

    let sandbox = with(&["train/a.png", "b.png"], &[("t.csv", "image,label\ntrain/a.png,cat\nb.png,dog\n")]);
    sandbox.ok(RUN);
    assert_eq!(sandbox.fields(), ["b.png|label|dog", "train/a.png|label|cat"]);

    let pix_plot = "filename,category,tags,description,permalink,year\na.png,cat,x|y,first,https://x/0,1900\n";
    let sandbox = with(&["images/a.png"], &[("metadata.csv", pix_plot)]);
    sandbox.ok(RUN);
    assert_eq!(known(&sandbox), ["images/a.png|first|-2208988800 year"]);
    let of_a = ["category|cat", "tags|x", "tags|y", "permalink|https://x/0", "year|1900"];
    assert_eq!(sandbox.fields(), of_a.map(|field| format!("images/a.png|{field}")));

    let vikus = "id,keywords,year,_title\n001,\"sea, light\",1890s,Storm\n002,sea,,Calm\n";
    let sandbox = with(&["jpg/001.png", "jpg/002.png"], &[("data.csv", vikus)]);
    sandbox.ok(RUN);
    assert_eq!(known(&sandbox), ["jpg/001.png||-2524521600 decade", "jpg/002.png||"]);
    assert_eq!(
        sandbox.fields()[..3],
        ["keywords|sea", "keywords|light", "_title|Storm"].map(|f| format!("jpg/001.png|{f}"))
    );
}

#[test]
fn a_date_says_how_exact_it_is_and_an_unreadable_one_costs_itself() {
    let table = "path,caption,date\n0.png,a,07/14/2024\n1.png,b,2024\n2.png,c,ca. 1890\n3.png,d,1720981800000\n\
                 4.png,e,01.07.2024 18:30\n5.png,f,long ago\n6.png,g,\n7.png,h,03/04/2024\n";
    let sandbox = with(&["0.png", "1.png", "2.png", "3.png", "4.png", "5.png", "6.png", "7.png"], &[("t.csv", table)]);
    let ran = sandbox.run(RUN);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let expected = [
        "0.png|a|1720915200 day",
        "1.png|b|1704067200 year",
        "2.png|c|-2524521600 year",
        "3.png|d|1720981800 second",
        "4.png|e|1719858600 minute",
        "5.png|f|",
        "6.png|g|",
        // The first row shows that the month comes first.
        "7.png|h|1709510400 day",
    ];
    assert_eq!(known(&sandbox), expected);
    assert_eq!(sandbox.fields(), ["1.png|date|2024", "2.png|date|ca. 1890", "5.png|date|long ago"]);
    let said: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("not understood")).collect();
    assert!(
        said.len() == 1 && said[0].contains("1 date of t.csv is not understood, such as `long ago`"),
        "{}",
        ran.stderr
    );
}

#[test]
fn names_are_the_same_however_they_are_written() {
    let table = "path,caption\nCafé.png,one\nU\u{308}bung.png,two\nsub\\b.png,three\n";
    let sandbox = with(&["Cafe\u{301}.png", "Übung.png", "sub/b.png"], &[("t.csv", table)]);
    sandbox.ok(RUN);
    let captions: Vec<_> = sandbox.images().into_iter().map(|row| row.caption.unwrap()).collect();
    assert_eq!((captions, sandbox.skipped().len()), (vec!["one".into(), "three".into(), "two".into()], 0));
}

#[test]
fn what_is_no_table_of_pictures_says_nothing_and_is_no_defect() {
    let telegram = r#"{"name": "A", "type": "personal_chat", "id": 1, "messages": [
        {"id": 1, "type": "message", "date": "2024-07-01T18:30:00", "from": "A", "file": "files/a.png", "text": "secret"},
        {"id": 2, "type": "message", "date": "2024-07-01T18:30:00", "from": "B", "text": "only words"}]}"#;
    let log = "{\"file\": \"files/a.png\", \"text\": \"secret\", \"sender\": \"A\"}\n{\"text\": \"secret\", \"sender\": \"B\"}\n";
    let pages =
        r#"[{"image": "https://example.org/a.png", "description": "secret"}, {"path": "/a.png", "title": "secret"}]"#;
    let posts = r#"[{"path": "files/a.png", "title": "secret"}, {"title": "x"}, {"title": "y"}, {"title": "z"}]"#;
    let users = "id,name\na,secret\nb,secret\nc,secret\n";
    let tables = [
        ("result.json", telegram),
        ("log.jsonl", log),
        ("pages.json", pages),
        ("posts.json", posts),
        ("users.csv", users),
    ];
    let sandbox = with(&["files/a.png"], &tables);
    sandbox.ok(RUN);
    assert_eq!(known(&sandbox), ["files/a.png||"]);
    assert!(sandbox.fields().is_empty());
    let rows: Vec<_> = sandbox.skipped().into_iter().map(|row| (row.path, row.reason)).collect();
    let mut names = tables.map(|(name, _)| (name.to_owned(), SkipReason::NotAnImage));
    names.sort();
    assert_eq!(rows, names);
}

#[test]
fn further_columns_go_on_to_the_export_and_the_page() {
    let table = "path,caption,tags,row,place\n000.png,a,x|y,7,Rom\n001.png,b,,,Oslo\n";
    let sandbox = Sandbox::with_photos(4);
    sandbox.put("photos/t.csv", table.as_bytes());
    sandbox.put("photos/copy of 000.png", &png(&picture(0)));
    let run = "run photos --model scattering -o wall.png";
    sandbox.ok(run);
    let status = sandbox.run(&run.replace("run", "status --check"));
    assert_eq!(status.code, 0, "{}", status.stdout);
    sandbox.ok("export all.csv");
    let text = String::from_utf8(sandbox.read("all.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with(",row,col,tags,field_row,place"), "{}", lines[0]);
    assert!(lines[1].starts_with("000.png") && lines[1].ends_with(",x|y,7,Rom"), "{text}");
    assert!(lines[3].starts_with("002.png") && lines[3].ends_with(",,,"), "{text}");
    // The row of a copy has the metadata of the picture.
    assert!(lines[5].starts_with("copy of 000.png") && lines[5].ends_with(",x|y,7,Rom"), "{text}");
    let page = |sandbox: &Sandbox| String::from_utf8(sandbox.read("explorer-wall/index.html")).unwrap();
    assert!(page(&sandbox).contains(r#"[["tags","x","y"],["row","7"],["place","Rom"]]"#));
    sandbox.ok("gc");
    assert_eq!(sandbox.fields().len(), 5, "what belongs to the last run is kept");
    // A changed value changes the page, but embeds nothing.
    sandbox.put("photos/t.csv", table.replace("Oslo", "Bergen").as_bytes());
    assert_eq!(sandbox.run(&run.replace("run", "status --check")).code, 4);
    let again = sandbox.json(run);
    assert_eq!((&again["counts"]["embedded"], &again["fields"]["fresh"]), (&0.into(), &false.into()));
    assert!(page(&sandbox).contains("Bergen") && !page(&sandbox).contains("Oslo"));
    // Without the table its values are gone.
    std::fs::remove_file(sandbox.path("photos/t.csv")).unwrap();
    sandbox.ok(run);
    assert!(sandbox.latest::<FieldRow>().is_empty() && !page(&sandbox).contains("Rom"));
}
