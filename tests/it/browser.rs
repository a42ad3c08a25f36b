//! A real browser: headless Chromium, controlled by the DevTools protocol over a pipe (JSON messages, each terminated
//! by a zero byte).

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// A time limit that no step reaches, even on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A browser with one page; the process ends on drop.
pub(crate) struct Browser {
    process: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    events: Vec<Value>,
    session: Option<String>,
    next: u64,
    _profile: tempfile::TempDir,
}

/// Traps for everything that a page must not do, installed before any script of the page runs.
const TRAPS: &str = "
    window.trapped = [];
    for (const name of ['alert', 'confirm', 'prompt', 'print']) {
      window[name] = (...args) => { window.trapped.push(name + ' ' + args.join(' ')); return null; };
    }
    document.addEventListener('securitypolicyviolation', (event) => {
      window.trapped.push('policy ' + event.violatedDirective + ' ' + event.blockedURI + ' ' + event.sample);
    });
    window.addEventListener('error', (event) => { if (event.message) window.trapped.push('error ' + event.message); });
    window.addEventListener('unhandledrejection', (event) => window.trapped.push('rejection ' + event.reason));
    window.painted = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (entry.name === 'first-contentful-paint') window.painted = entry.startTime;
    }).observe({ type: 'paint', buffered: true });
";

/// Starts the browser, or prints a line to standard error that there is none.
pub(crate) fn browser() -> Option<Browser> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = names.iter().find_map(|name| std::env::split_paths(&paths).map(|p| p.join(name)).find(|p| p.is_file()));
    if found.is_none() {
        // Written directly to standard error: the test runner captures the output of passing tests.
        let mut out = std::io::stderr();
        writeln!(out, "SKIPPED: no chromium is installed, so the page is not tested").unwrap();
    }
    Some(Browser::start(&found?))
}

impl Browser {
    fn start(program: &Path) -> Self {
        let profile = tempfile::tempdir().unwrap();
        // The protocol uses the file descriptors 3 and 4; the shell makes them from 0 and 1.
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1"])
            .arg(program)
            .args(["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--hide-scrollbars", "--lang=en"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = process.stdout.take().unwrap();
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut message = Vec::new();
            while output.read_until(0, &mut message).is_ok_and(|read| read > 0) {
                message.pop();
                if sender.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    break;
                }
                message.clear();
            }
        });
        let input = process.stdin.take().unwrap();
        let mut browser =
            Self { process, input, messages, events: Vec::new(), session: None, next: 0, _profile: profile };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", attach)["sessionId"].as_str().unwrap().to_owned();
        browser.session = Some(session);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": TRAPS}));
        browser.window(1280, 800, false);
        browser
    }

    /// Sends a command and waits for its result.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let mut message = json!({"id": self.next, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.input.write_all(format!("{message}\0").as_bytes()).unwrap();
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let remaining = deadline.saturating_duration_since(Instant::now());
            let Ok(message) = self.messages.recv_timeout(remaining) else { panic!("no response to {method}") };
            if message["id"] == self.next {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    /// Sets the size of the window in CSS pixels; `is_phone` emulates a touch screen with two device pixels per pixel.
    #[track_caller]
    pub(crate) fn window(&mut self, width: u32, height: u32, is_phone: bool) {
        let ratio = if is_phone { 2 } else { 1 };
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": ratio, "mobile": is_phone});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        self.call("Emulation.setTouchEmulationEnabled", json!({"enabled": is_phone, "maxTouchPoints": 5}));
    }

    /// Sets the preferences of the user: `light` or `dark`, and whether animations are allowed.
    #[track_caller]
    pub(crate) fn prefer(&mut self, scheme: &str, motion: bool) {
        let motion = if motion { "no-preference" } else { "reduce" };
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion},
        ]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// Opens a file with a fragment (empty, or with its `#`), and waits until the grid is drawn with all details.
    #[track_caller]
    pub(crate) fn open(&mut self, file: &Path, fragment: &str) {
        let path = percent_encoding::utf8_percent_encode(file.to_str().unwrap(), percent_encoding::NON_ALPHANUMERIC);
        let path = path.to_string().replace("%2F", "/");
        // Navigates to another page first: a change of the fragment alone would not load the page again.
        self.call("Page.navigate", json!({"url": "about:blank"}));
        let navigation = self.call("Page.navigate", json!({"url": format!("file://{path}{fragment}")}));
        assert!(navigation["errorText"].is_null(), "{navigation}");
        self.wait_for("typeof isReady !== 'undefined' && isReady()");
        self.rest();
    }

    /// Waits until no frame is requested, no animation runs and nothing is loading.
    #[track_caller]
    pub(crate) fn rest(&mut self) {
        self.wait_for("!frame.asked && !frame.glide && layout.progress === 1 && loads.running === 0");
    }

    /// The value of an expression in the page. All exports of the page's scripts are in scope by their plain names, and
    /// `all(f)` returns the results of `f` for every picture.
    #[track_caller]
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let scope = "Object.assign({ all: (of) => [...Array(page.chunks.count).keys()].map((i) => of(i)) }, \
                     ...Object.values(typeof page === 'undefined' ? {} : page))";
        let statement = format!("with ({scope}) {{ {expression} }}");
        let params = json!({"expression": statement, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", params);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, expression: &str) {
        let deadline = Instant::now() + TIMEOUT;
        while self.eval(expression) != json!(true) {
            assert!(Instant::now() < deadline, "not true in time: {expression}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The text of an element.
    #[track_caller]
    pub(crate) fn text(&mut self, selector: &str) -> String {
        self.eval(&format!("document.querySelector({}).textContent", json!(selector))).as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn mouse(&mut self, kind: &str, x: f64, y: f64, more: Value) {
        let mut params = json!({"type": kind, "x": x, "y": y});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.call("Input.dispatchMouseEvent", params);
    }

    #[track_caller]
    pub(crate) fn click(&mut self, x: f64, y: f64) {
        self.mouse("mouseMoved", x, y, json!({}));
        for kind in ["mousePressed", "mouseReleased"] {
            self.mouse(kind, x, y, json!({"button": "left", "clickCount": 1}));
        }
    }

    /// Clicks the middle of an element.
    #[track_caller]
    pub(crate) fn click_on(&mut self, selector: &str) {
        let script = format!(
            "(() => {{ const e = document.querySelector({}); e.scrollIntoView({{block: 'nearest'}}); \
             const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; }})()",
            json!(selector)
        );
        let centre = self.eval(&script);
        self.click(centre[0].as_f64().unwrap(), centre[1].as_f64().unwrap());
    }

    #[track_caller]
    pub(crate) fn touch(&mut self, kind: &str, points: &[[f64; 2]]) {
        let points: Vec<Value> =
            points.iter().enumerate().map(|(id, [x, y])| json!({"x": x, "y": y, "id": id})).collect();
        self.call("Input.dispatchTouchEvent", json!({"type": kind, "touchPoints": points}));
    }

    /// Presses a key by its name, or types a character.
    #[track_caller]
    pub(crate) fn key(&mut self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Tab" => 9,
            "Escape" => 27,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            _ => 0,
        };
        let mut params = json!({"type": "keyDown", "key": key, "windowsVirtualKeyCode": code});
        if key == "Enter" {
            params["text"] = json!("\r");
        } else if code == 0 {
            params["text"] = json!(key);
        }
        self.call("Input.dispatchKeyEvent", params);
        self.call("Input.dispatchKeyEvent", json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code}));
    }

    #[track_caller]
    pub(crate) fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    /// Everything that the page did but must not do: calls of the trapped functions, exceptions, dialogs, and errors
    /// that the browser logged.
    #[track_caller]
    pub(crate) fn violations(&mut self) -> Vec<String> {
        let trapped = self.eval("window.trapped");
        let mut all: Vec<String> = trapped.as_array().unwrap().iter().map(|t| t.as_str().unwrap().to_owned()).collect();
        for event in &self.events {
            let entry = &event["params"]["entry"];
            if event["method"] == "Log.entryAdded" && entry["level"] == "error" {
                all.push(format!("{} {}", entry["text"], entry["url"]));
            }
            if event["method"] == "Runtime.exceptionThrown" || event["method"] == "Page.javascriptDialogOpening" {
                all.push(event.to_string());
            }
        }
        all
    }

    /// The addresses that the page requested.
    pub(crate) fn requested(&self) -> Vec<String> {
        let sent = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.map(|event| event["params"]["request"]["url"].as_str().unwrap().to_owned()).collect()
    }

    /// A screenshot of the window as a PNG.
    #[track_caller]
    pub(crate) fn screenshot(&mut self) -> Vec<u8> {
        let shot = self.call("Page.captureScreenshot", json!({"format": "png"}));
        BASE64_STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
