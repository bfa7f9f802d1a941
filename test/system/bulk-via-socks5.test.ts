import { carriesVia } from "./bulk.ts";

carriesVia("socks5");
