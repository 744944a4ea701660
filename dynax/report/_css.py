"""The style sheet of the report."""

CSS = """
:root { --ink:#1d2430; --soft:#5b6472; --line:#dfe3e8; --back:#fbfbfa; --card:#fff;
  --good:#00734f; --good-back:#e6f4ee; --bad:#a83a00; --bad-back:#fcebe2;
  --link:#00588a; --stripe:#f3f4f6; }
@media (prefers-color-scheme: dark) { :root { --ink:#e4e7eb; --soft:#9aa4b2;
  --line:#333a44; --back:#14181d; --card:#1b2027; --good:#4fd0a5; --good-back:#12302a;
  --bad:#ff9b63; --bad-back:#3a2116; --link:#7cc4f2; --stripe:#1b2027; } }
* { box-sizing:border-box; }
body { margin:0; background:var(--back); color:var(--ink);
  font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif; }
main { max-width:62rem; margin:0 auto; padding:2.5rem 1.25rem 4rem; }
h1 { font-size:1.7rem; letter-spacing:-.01em; margin:0 0 1rem; }
h2 { font-size:1.3rem; letter-spacing:-.005em; margin:0 0 .25rem; }
h3 { font-size:1rem; margin:1.5rem 0 .5rem; }
section { margin-top:3.5rem; padding-top:1.75rem; border-top:1px solid var(--line); }
section > p { max-width:44rem; }
a { color:var(--link); text-decoration:none; } a:hover { text-decoration:underline; }
.banner { padding:.8rem 1.1rem; border-radius:.5rem; border-left:5px solid; }
.banner.good { background:var(--good-back); border-color:var(--good); }
.banner.bad { background:var(--bad-back); border-color:var(--bad); }
.banner strong { margin-right:.35em; }
.good strong { color:var(--good); } .bad strong { color:var(--bad); }
.source, .took, figcaption, .detail, .spread { color:var(--soft); font-size:.875rem; }
.source { margin:0 0 .75rem; } .detail, .spread { display:block; font-size:.8rem; }
.guide { max-width:44rem; color:var(--soft); }
.experiment { padding:0; } .experiment > summary { padding:.55rem 0; }
.experiment > section { margin:0 0 2rem; padding:0 0 0 1.4rem; border:0; }
.experiment > summary .said { display:block; margin-left:1.4rem; }
summary .v { display:inline-block; width:1.1rem; text-align:center; }
.said { color:var(--soft); font-size:.875rem; margin-left:.5rem; }
.w { white-space:nowrap; }
code { font:.9em ui-monospace,Menlo,Consolas,monospace; }
.scroll { overflow-x:auto; margin-top:1.5rem; }
table { border-collapse:collapse; width:100%; font-size:.9rem; }
th, td { text-align:left; vertical-align:top; padding:.45rem .7rem .45rem 0;
  border-bottom:1px solid var(--line); }
td:nth-child(2) { min-width:17rem; }
.plain { width:auto; } .plain td:nth-child(2) { min-width:0; }
.plain td, .plain th { padding-right:1.4rem; }
thead th { color:var(--soft); font-weight:600; font-size:.8rem; }
tr.group th { padding-top:1.2rem; font-size:.95rem; }
.n { text-align:right; white-space:nowrap; font-variant-numeric:tabular-nums;
  padding-right:1.4rem; }
.t { min-width:8rem; } .id { font-weight:600; white-space:nowrap; }
.v { white-space:nowrap; font-weight:600; }
.ok > .v, .ok > summary > .v { color:var(--good); }
.wrong > .v, .wrong > summary > .v { color:var(--bad); }
tr.control td { color:var(--soft); } tr.control .id { padding-left:1rem; }
tr.control.ok .v { color:var(--soft); font-weight:500; }
tr.control.wrong .v { color:var(--bad); }
.tag { border:1px solid var(--line); border-radius:1rem; padding:0 .5em;
  font-size:.75rem; }
figure { margin:1.5rem 0; }
.picture { overflow-x:auto; background:var(--card); border:1px solid var(--line);
  border-radius:.5rem; padding:.6rem; }
figure svg, figure img { display:block; width:100%; min-width:34rem; height:auto;
  font-family:system-ui,sans-serif; }
figure svg { fill:currentColor; } figure img { background:#fff; }
figcaption { margin-top:.5rem; max-width:44rem; }
pre { overflow-x:auto; background:var(--stripe); border-radius:.4rem;
  padding:.8rem 1rem; font:.82rem/1.5 ui-monospace,Menlo,Consolas,monospace; }
details { border-bottom:1px solid var(--line); padding:.35rem 0; }
summary { cursor:pointer; }
.badge { display:inline-block; border-radius:1rem; padding:0 .6em; font-size:.78rem;
  font-weight:600; background:var(--stripe); color:var(--soft); }
.badge.holds { background:var(--good-back); color:var(--good); }
.badge.expected { border:1px solid var(--line); }
.badge.violated { background:var(--bad-back); color:var(--bad); }
footer { margin-top:4rem; padding-top:1.5rem; border-top:1px solid var(--line);
  font-size:.875rem; color:var(--soft); }
footer h2 { font-size:1rem; }
dl { display:grid; grid-template-columns:max-content 1fr; gap:.2rem 1.2rem; }
dd { margin:0; overflow-wrap:anywhere; }
@media (max-width:40rem) { main { padding:1.5rem .9rem; }
  .experiment > section { padding-left:0; }
  .claims thead { display:none; }
  .claims, .claims tbody, .claims tr, .claims td { display:block; }
  .claims tr { padding:.6rem 0; border-bottom:1px solid var(--line); }
  .claims td { border:0; padding:0; min-width:0; text-align:left; white-space:normal;
    overflow-wrap:anywhere; }
  .claims tr.control { padding-left:1rem; } .claims tr.control .id { padding:0; }
  .claims .n::before { content:"measured "; color:var(--soft); }
  .claims .t::before { content:"threshold "; color:var(--soft); }
  .claims .spread { display:inline; margin-left:.4em; } }
@media print { section { break-inside:avoid-page; }
  details::details-content { content-visibility:visible; height:auto; } }
"""
