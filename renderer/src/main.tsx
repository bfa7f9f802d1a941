import "./preferences/sound-language.ts";
import "@fontsource-variable/inter/wght.css";
import "./theme/tokens.css";
import "./theme/base.css";
import { createRoot } from "react-dom/client";
import { followShell } from "./desktop/store.ts";
import { follow } from "./engine/engine.ts";
import { shell } from "./desktop/shell.ts";
import { connectToServer, connectToShell, takeKey } from "./engine/transport.ts";
import { followLinks } from "./pages/upstreams/import-source.ts";
import { followPreferences } from "./preferences/preferences.ts";
import { App } from "./shell/app.tsx";

followPreferences();
followLinks();
followShell();
if (shell) {
  const bridge = shell;
  void follow(() => connectToShell(bridge));
} else {
  const key = takeKey();
  void follow(() => connectToServer(key));
}
createRoot(document.getElementById("root")!).render(<App />);
