import { useEngine } from "../../engine/engine.ts";
import { useText } from "../../i18n/text.ts";
import { Field, TextInput } from "../../ui/field.tsx";
import { Segmented } from "../../ui/segmented.tsx";
import { upstreamTypes } from "./form.ts";
import { possibleVia } from "./via.ts";
import {
  BooleanField,
  ChoiceField,
  FormSecret,
  type InForm,
  LinesField,
  ValueField,
} from "./form-fields.tsx";
import { FurtherFields } from "./further-fields.tsx";
import { KeepChoice } from "./secret-field.tsx";
import formStyles from "../../ui/form.module.css";

/** Every key of the configuration that an upstream of the type has: the usual ones in sight, the others behind "More". */
export function EditorFields(props: InForm) {
  const { form, before, errorOf, onChange, onLeave, keeping } = props;
  const words = useText().upstreams.editor;
  return (
    <>
      <div className={formStyles["kind"]}>
        <Segmented
          label={words.type}
          value={form.type}
          options={upstreamTypes.map((type) => ({ value: type, label: TYPE_LABELS[type] }))}
          onChange={(type) => onChange({ ...form, type }, "type")}
        />
        <p>{words.what[form.type]}</p>
      </div>
      <Field label={words.fields.name} hint={words.nameHint} error={errorOf("name")}>
        {(control) => (
          <TextInput
            {...control}
            data-first-focus={before === undefined || undefined}
            value={form.name}
            maxLength={64}
            placeholder={words.namePlaceholder}
            onChange={({ target }) => onChange({ ...form, name: target.value }, "name")}
            onBlur={() => onLeave("name")}
          />
        )}
      </Field>
      <ValueField
        {...props}
        name="address"
        hint={words.addressHint[form.type]}
        placeholder={words.addressPlaceholder[form.type]}
      />
      {form.type === "ssh" ? (
        <>
          <ValueField {...props} name="user" hint={words.userHint} />
          <FormSecret {...props} kind="password" />
          <LinesField {...props} name="identity_file" hint={words.keysHint} placeholder="~/.ssh/id_ed25519" />
        </>
      ) : (
        <>
          <ValueField {...props} name="username" />
          <FormSecret {...props} kind="password" />
        </>
      )}
      {form.type === "http" && <BooleanField {...props} name="tls" hint={words.tlsHint} usually={false} />}
      <ViaField {...props} />
      <KeepChoice form={form} keeping={keeping} />
      <FurtherFields {...props} />
    </>
  );
}

/** The one that leads to it now stays among the choices, whatever it is. */
function ViaField(props: InForm) {
  const { form, before } = props;
  const words = useText().upstreams.editor;
  const upstreams = useEngine((state) => state.upstreams);
  const possible = possibleVia(before?.name ?? form.name.trim(), upstreams);
  const chosen = form.values.via ?? "";
  const names = chosen === "" || possible.includes(chosen) ? possible : [...possible, chosen];
  return (
    <ChoiceField
      {...props}
      name="via"
      hint={words.viaHint}
      options={[["", words.viaNone], ...names.map((name) => [name, name] as const)]}
    />
  );
}

const TYPE_LABELS = { ssh: "SSH", socks5: "SOCKS5", http: "HTTP" } as const;
