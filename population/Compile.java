import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.cqframework.cql.cql2elm.CqlCompilerException;
import org.cqframework.cql.cql2elm.CqlCompilerOptions;
import org.cqframework.cql.cql2elm.CqlTranslator;
import org.cqframework.cql.cql2elm.LibraryBuilder;
import org.cqframework.cql.cql2elm.LibraryManager;
import org.cqframework.cql.cql2elm.ModelManager;
import org.cqframework.cql.cql2elm.quick.FhirLibrarySourceProvider;

/** Each file of CQL that is named -> its ELM as JSON beside it, without annotations: a package carries it. */
public class Compile {
  public static void main(String[] files) throws Exception {
    try (var helpers = FhirLibrarySourceProvider.class.getResourceAsStream("/org/hl7/fhir/FHIRHelpers-4.0.1.cql")) {
      Files.write(Path.of(files[0]), helpers.readAllBytes());
    }
    CqlCompilerOptions options = new CqlCompilerOptions();
    options.setSignatureLevel(LibraryBuilder.SignatureLevel.Overloads);
    for (String file : files) {
      LibraryManager libraries = new LibraryManager(new ModelManager(), options);
      libraries.getLibrarySourceLoader().registerProvider(new FhirLibrarySourceProvider());
      CqlTranslator translator = CqlTranslator.fromFile(Path.of(file).toFile(), libraries);
      List<CqlCompilerException> faults = translator.getExceptions();
      boolean failed = false;
      for (CqlCompilerException fault : faults) {
        if (fault.getSeverity() == CqlCompilerException.ErrorSeverity.Error) {
          System.err.println(file + ": " + (fault.getLocator() == null ? "" : fault.getLocator().toLocator()) + " " + fault.getMessage());
          failed = true;
        }
      }
      if (failed) {
        System.exit(1);
      }
      Files.writeString(Path.of(file.replaceAll("\\.cql$", ".json")), translator.toJson());
    }
  }
}
