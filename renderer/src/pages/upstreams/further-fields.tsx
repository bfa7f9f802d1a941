import { useState } from "react";
import { useText } from "../../i18n/text.ts";
import { Disclosure } from "../../ui/disclosure.tsx";
import type { SecretName, UpstreamForm, ValueName } from "./form.ts";
import {
  AgentField,
  BooleanField,
  ChoiceField,
  FormSecret,
  type InForm,
  LinesField,
  ValueField,
} from "./form-fields.tsx";
import formStyles from "../../ui/form.module.css";

/** By type. */
const furtherFields = {
  ssh: [
    "passphrase",
    "agent",
    "known_hosts_file",
    "host_key_check",
    "ssh_config",
    "ssh_config_file",
    "keepalive_interval",
    "keepalive_count_max",
    "pool_size",
    "strategy",
  ],
  socks5: ["udp", "pool_size", "strategy"],
  http: ["tls_ca_file", "tls_server_name", "pool_size", "strategy"],
} as const satisfies Record<UpstreamForm["type"], readonly (ValueName | SecretName)[]>;

/** The fields that few need, behind "More", which says how many of them are set. It is open where one of them is wrong. */
export function FurtherFields(props: InForm) {
  const { form, errorOf } = props;
  const words = useText().upstreams.editor;
  const further = furtherFields[form.type];
  const set = further.filter((field) => isSet(form, field));
  const [open, setOpen] = useState(false);
  const wrong = further.some((field) => errorOf(field) !== undefined);
  return (
    <Disclosure
      label={words.more}
      note={set.length > 0 ? words.moreSet(set.length) : undefined}
      open={open || wrong}
      onToggle={setOpen}
    >
      {form.type === "ssh" && <SshFields {...props} />}
      {form.type === "socks5" && <BooleanField {...props} name="udp" hint={words.udpHint} usually />}
      {form.type === "http" && (
        <>
          <ValueField {...props} name="tls_ca_file" placeholder="/etc/ssl/corp.pem" />
          <ValueField
            {...props}
            name="tls_server_name"
            hint={words.tlsNameHint}
            placeholder="proxy.example.com"
          />
        </>
      )}
      <div className={formStyles["pair"]}>
        <ValueField
          {...props}
          name="pool_size"
          hint={form.type === "ssh" ? words.poolHint.ssh : words.poolHint.proxy}
          placeholder="1"
        />
        <ChoiceField
          {...props}
          name="strategy"
          options={[
            ["", words.strategies["round-robin"]],
            ["least-connections", words.strategies["least-connections"]],
          ]}
        />
      </div>
    </Disclosure>
  );
}

function SshFields(props: InForm) {
  const { values } = props.form;
  const words = useText().upstreams.editor;
  return (
    <>
      <FormSecret {...props} kind="passphrase" hint={words.passphraseHint} />
      <AgentField {...props} />
      <ChoiceField
        {...props}
        name="host_key_check"
        hint={values.host_key_check === "off" ? words.hostKeysOff : undefined}
        options={[
          ["", words.hostKeys.default],
          ...(["ask", "accept-new", "strict", "off"] as const).map(
            (value) => [value, words.hostKeys[value]] as const,
          ),
        ]}
      />
      <LinesField
        {...props}
        name="known_hosts_file"
        hint={words.knownHostsHint}
        placeholder="~/.ssh/known_hosts"
      />
      <BooleanField {...props} name="ssh_config" hint={words.sshConfigHint} usually />
      {values.ssh_config !== "false" && (
        <ValueField {...props} name="ssh_config_file" placeholder="~/.ssh/config" />
      )}
      <div className={formStyles["pair"]}>
        <ValueField
          {...props}
          name="keepalive_interval"
          hint={words.keepaliveIntervalHint}
          placeholder="5s"
        />
        <ValueField {...props} name="keepalive_count_max" hint={words.keepaliveCountHint} placeholder="3" />
      </div>
    </>
  );
}

function isSet(form: UpstreamForm, field: ValueName | SecretName): boolean {
  if (field === "password" || field === "passphrase") return form.secrets[field].kind !== "none";
  return (form.values[field] ?? "").trim() !== "";
}
